"""Check the documentation: links, anchors, paths, and commands in code.

python -m tests.docs.check

Looks at every Markdown file of the repository. A relative link must lead to a file of the repository, and a `#anchor`
to a heading in it. Inline code that reads like a path of the repository must be one. Commands must exist; those after
a `$` prompt must also have all arguments that they need. Links to other hosts are not followed.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from infra.common.paths import ROOT
from tests.docs import commands
from tests.docs.markdown import Page, Snippet, read_page

README_WORDS = 900

_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_PATH = re.compile(r"(?:handler|infra|tests|docs|events|\.github|\.ci)/[\w./-]*")
_PATTERNS = ("*.md", "docs/**/*.md", "events/*.md", "infra/manifests/*.md", ".github/**/*.md")


def problems(root: Path) -> Iterator[str]:
    """Everything that is wrong, a line each: `file:line: what`."""
    pages = {path: read_page(path) for pattern in _PATTERNS for path in sorted(root.glob(pattern))}
    for path, page in pages.items():
        name = path.relative_to(root)
        for line, problem in sorted(_problems_of(page, pages, root)):
            yield f"{name}:{line}: {problem}"
    yield from _length(root / "README.md")


def _problems_of(page: Page, pages: dict[Path, Page], root: Path) -> Iterator[tuple[int, str]]:
    for link in page.links:
        if problem := _link_problem(link, page, pages, root):
            yield link.line, problem
    for span in page.spans:
        if _PATH.fullmatch(span.text) and not _is_in(root / span.text, root):
            yield span.line, f"`{span.text}` is not in the repository"
    for snippet, complete in [*((span, False) for span in page.spans), *((each, True) for each in page.commands)]:
        for fault in commands.faults(snippet.text, root, complete=complete):
            yield snippet.line, f"`{snippet.text}`: {fault}"


def _link_problem(link: Snippet, page: Page, pages: dict[Path, Page], root: Path) -> str | None:
    if _ELSEWHERE.match(link.text):
        return None
    target, _, anchor = unquote(link.text).partition("#")
    path = (page.path.parent / target).resolve() if target else page.path
    if not _is_in(path, root):
        return f"the link {link.text} leads to no file of the repository"
    if anchor and (path not in pages or anchor not in pages[path].anchors):
        return f"the link {link.text} leads to no heading"
    return None


def _is_in(path: Path, root: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(root.resolve())


def _length(readme: Path) -> Iterator[str]:
    count = len(readme.read_text(encoding="utf-8").split())
    if count > README_WORDS:
        yield f"{readme.name}:1: {count} words, more than {README_WORDS}"


def main() -> int:
    """Print the problems; 1 when there are any."""
    found = list(problems(ROOT))
    print(
        "\n".join(found) or "The documentation's links and commands are right.",
        file=sys.stderr if found else sys.stdout,
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
