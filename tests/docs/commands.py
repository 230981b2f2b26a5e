"""Whether the commands that a page names exist: make targets, commands of `infra`, and modules of `tests`."""

import importlib.util
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from itertools import groupby
from pathlib import Path

from infra.cli.parser import make_parser
from infra.common.paths import TEMPLATE
from infra.common.template import load

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_OPERATORS = "|&;<>"
# Inline code that begins otherwise may be anything.
_OURS = re.compile(r"(?:make|dropvec|\S*python3?)\s")


def faults(command: str, root: Path, *, complete: bool) -> Iterator[str]:
    """What is wrong with a command line; programs that are not the project's are not looked at.

    Args:
        command: as one types it; may hold several commands in a pipe.
        root: the repository, for its Makefile.
        complete: whether it can be run as it is written; otherwise values and arguments may be missing.
    """
    if not complete and not _OURS.match(command):
        return
    try:
        words = _words(command)
    except ValueError as error:
        yield f"cannot be split into words ({error})"
        return
    for is_operator, group in groupby(words, lambda word: set(word) <= set(_OPERATORS)):
        if not is_operator:
            yield from _faults_of_one(list(group), root, complete=complete)


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    return list(lexer)


def _faults_of_one(words: Sequence[str], root: Path, *, complete: bool) -> Iterator[str]:
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    match words:
        case ["make", *rest]:
            yield from _make_faults(rest, (root / "Makefile").read_text(encoding="utf-8"))
        case ["dropvec", *rest]:
            yield from _infra_faults(rest, complete=complete)
        case [python, "-m", module, *rest] if Path(python).name in {"python", "python3"}:
            if module == "infra":
                yield from _infra_faults(rest, complete=complete)
            elif not _is_module(module):
                yield f"there is no module {module}"


def _make_faults(words: Sequence[str], makefile: str) -> Iterator[str]:
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    variables = set(re.findall(r"(?:\$\(|\$\$\{?|origin |^)([A-Z_]+)\b", makefile, re.MULTILINE))
    for word in words:
        name, is_assignment, value = word.partition("=")
        if not is_assignment and word not in targets:
            yield f"the Makefile has no target {word}"
        if is_assignment and name not in variables:
            yield f"the Makefile has no variable {name}"
        if name == "SET":
            yield from _parameter_faults(value)


def _parameter_faults(settings: str) -> Iterator[str]:
    known = load(TEMPLATE)["Parameters"]
    for setting in settings.split():
        name, is_setting, _ = setting.partition("=")
        if is_setting and name not in known:
            yield f"the template has no parameter {name}"


def _infra_faults(words: Sequence[str], *, complete: bool) -> Iterator[str]:
    if complete:
        said, code = _parsed(words)
        if code:
            yield said.strip().splitlines()[-1]
        return
    names = [word for word in words if not word.startswith("-")]
    said, code = _parsed([*names, "--help"])
    if code:
        yield said.strip().splitlines()[-1]
        return
    known = set(_OPTION.findall(said))
    yield from (
        f"{' '.join(names[:1])} has no option {word}"
        for word in (each.partition("=")[0] for each in words if _OPTION.match(each))
        if word not in known
    )


def _parsed(words: Sequence[str]) -> tuple[str, int]:
    """What the command line prints for these words, and its exit code; it runs nothing."""
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(out):
            make_parser().parse_args(list(words))
    except SystemExit as ended:
        return out.getvalue(), int(ended.code or 0)
    return out.getvalue(), 0


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
