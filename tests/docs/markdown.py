"""A Markdown file -> its links, anchors, code spans and shell commands."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PROMPT = "$ "
_CONTINUED = "\\"


@dataclass(frozen=True)
class Snippet:
    """A piece of a page.

    Attributes:
        text: without its Markdown.
        line: in the file, from 1; of a paragraph or a table row, where it begins.
    """

    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """What is checked of a Markdown file.

    Attributes:
        path: of the file.
        links: targets of links and images, as written.
        anchors: of the headings, as GitHub makes them.
        spans: inline code.
        commands: lines after a `$` prompt in blocks marked `console`; continued lines are joined.
    """

    path: Path
    links: tuple[Snippet, ...]
    anchors: frozenset[str]
    spans: tuple[Snippet, ...]
    commands: tuple[Snippet, ...]


def read_page(path: Path) -> Page:
    """Parse a file."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    inline = list(_inline(tokens))
    return Page(
        path=path,
        links=tuple(_links(inline)),
        anchors=frozenset(_anchors(tokens)),
        spans=tuple(Snippet(token.content, line) for token, line in inline if token.type == "code_inline"),
        commands=tuple(_commands(tokens)),
    )


def _inline(tokens: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    line = 1
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        for child in token.children or ():
            yield child, line


def _links(inline: Sequence[tuple[Token, int]]) -> Iterator[Snippet]:
    for token, line in inline:
        target = token.attrs.get("href") or token.attrs.get("src")
        if target:
            yield Snippet(str(target), line)


def _anchors(tokens: Sequence[Token]) -> Iterator[str]:
    """GitHub's ids of headings; one that occurs again gets a number."""
    seen: Counter[str] = Counter()
    for heading, content in pairwise(tokens):
        if heading.type != "heading_open":
            continue
        text = "".join(child.content for child in content.children or ())
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def _commands(tokens: Sequence[Token]) -> Iterator[Snippet]:
    for token in tokens:
        if token.type == "fence" and token.info.strip() == "console" and token.map:
            yield from _prompted(token.content, token.map[0] + 2)


def _prompted(block: str, first_line: int) -> Iterator[Snippet]:
    lines = iter(enumerate(block.splitlines(), first_line))
    for number, line in lines:
        if not line.startswith(_PROMPT):
            continue
        command = line.removeprefix(_PROMPT)
        while command.endswith(_CONTINUED):
            _, more = next(lines, (0, ""))
            command = command.removesuffix(_CONTINUED) + more
        yield Snippet(command, number)
