"""docs/commands.md, generated from the parser: `python3 -m infra.cli.reference [--check]`.

Not argparse's own help, whose layout differs between versions of Python.
"""

import argparse
import sys
from collections.abc import Iterator

from infra.cli.parser import EXAMPLES, make_parser
from infra.common.paths import ROOT

PAGE = ROOT / "docs" / "commands.md"

_INTRODUCTION = """\
# Commands

<!-- Generated from the parser; `make format` writes this page. -->

Type `dropvec` where dropvec is [installed](installing.md), and `python3 -m infra` in a checkout, then the command. Both
accept `--version`, and every command accepts `--help`.

Exit codes: 0 done, 1 something that was asked for failed, 2 wrong usage or a check that failed before anything was
changed, 130 stopped with Ctrl-C. If a command fails that `make` runs, make itself always exits with 2. An error is one
line on standard error. The variable `NO_COLOR` turns colours off.

"""


def main() -> int:
    """Write the page, or with `--check` compare it; the exit code."""
    text = reference()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/commands.md is out of date; run `make format`", file=sys.stderr)
    return 1


def reference() -> str:
    """The page."""
    parser = make_parser("dropvec")
    (group,) = _groups(parser)
    rows = [f"| [`{action.dest}`](#{action.dest}) | {action.help} |" for action in group._choices_actions]  # noqa: SLF001
    table = "\n".join(["| command | what it does |", "|---|---|", *rows])
    sections = [_section(name, command) for name, command in group.choices.items()]
    return _INTRODUCTION + table + "\n\n" + "\n".join(sections)


def _section(name: str, command: argparse.ArgumentParser) -> str:
    lines = [f"## {name}", "", _escaped(str(command.description)), "", "```console"]
    lines += [f"$ dropvec {EXAMPLES[name]}", "```", ""]
    for group in _groups(command):
        for action, parser in group.choices.items():
            lines += [f"### {name} {action}", "", _escaped(str(parser.description)), "", *_table(parser)]
    return "\n".join(lines if _groups(command) else [*lines, *_table(command)])


def _groups(parser: argparse.ArgumentParser) -> "list[argparse._SubParsersAction[argparse.ArgumentParser]]":
    """The commands below a parser."""
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001


def _table(command: argparse.ArgumentParser) -> list[str]:
    return ["| argument | meaning |", "|---|---|", *_rows(command), ""]


def _rows(command: argparse.ArgumentParser) -> Iterator[str]:
    actions = sorted(command._actions, key=lambda action: bool(action.option_strings))  # noqa: SLF001 - no public list
    for action in actions:
        if isinstance(action, argparse._HelpAction):  # noqa: SLF001 - likewise
            continue
        meaning = str(action.help) % {"default": action.default, "prog": "dropvec"}
        needed = " (required)" if action.required and action.option_strings else ""
        yield f"| `{_spelling(action)}` | {_escaped(meaning)}{needed} |"


def _spelling(action: argparse.Action) -> str:
    """An argument as one types it: `--images DIR`, `[FILE ...]`, `SHELL`."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = str(action.metavar or choices or action.dest.upper())
    value = f"{value} ..." if action.nargs in {"*", "+"} else value
    if not action.option_strings:
        return (f"[{value}]" if action.nargs in {"?", "*"} else value).replace("|", "\\|")
    takes_value = action.nargs != 0
    return f"{', '.join(action.option_strings)}{f' {value}' if takes_value else ''}".replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text for a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
