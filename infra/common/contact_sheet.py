"""A page with pictures: one self-contained HTML file, without scripts and without links to other hosts."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from infra.common.files import atomic_write
from infra.common.text import printable
from infra.common.thumbnails import Thumbnail

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --dim: #5b6570; --page: #fff; --card: #f3f5f7; --line: #d8dde3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --dim: #9aa4af; --page: #14171a; --card: #1f2429; --line: #343b43; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 24px; overflow-wrap: anywhere; }
h2 { margin: 28px 0 8px; font-size: 16px; }
p { margin: 0 0 16px; color: var(--dim); overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 14px; margin: 0; padding: 0;
  list-style: none; }
li { display: flex; flex-direction: column; overflow: hidden; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); }
.picture { display: flex; align-items: center; justify-content: center; height: 180px; padding: 8px;
  color: var(--dim); text-align: center; overflow-wrap: anywhere; }
.picture img { max-width: 100%; max-height: 100%; border-radius: 3px; }
.caption { padding: 8px 10px 10px; border-top: 1px solid var(--line); font-size: 13px; }
.caption b { display: block; font-weight: 600; overflow-wrap: anywhere; }
.caption span { display: block; color: var(--dim); overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Tile:
    """A picture with its caption.

    Attributes:
        title: the first line.
        lines: the others; empty ones are left out.
        picture: the thumbnail.
    """

    title: str
    lines: Sequence[str]
    picture: Thumbnail


@dataclass(frozen=True)
class Section:
    """Pictures that belong together.

    Attributes:
        heading: empty for none.
        tiles: its pictures.
    """

    heading: str
    tiles: Sequence[Tile]


def contact_sheet(title: str, summary: str, sections: Iterable[Section]) -> str:
    """The page; every text is escaped."""
    body = "".join(map(_section, sections))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n<p>{_text(summary)}</p>\n{body}</body>\n</html>\n"
    )


def write_contact_sheet(path: Path, title: str, summary: str, sections: Iterable[Section]) -> None:
    """Write the page to a file.

    Raises:
        OperatorError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(contact_sheet(title, summary, sections).encode())


def _section(section: Section) -> str:
    heading = f"<h2>{_text(section.heading)}</h2>\n" if section.heading else ""
    return f"{heading}<ol>\n{''.join(map(_tile, section.tiles))}</ol>\n"


def _tile(tile: Tile) -> str:
    lines = "".join(f"<span>{_text(line)}</span>" for line in tile.lines if line)
    return (
        f'<li><div class="picture">{_picture(tile)}</div>'
        f'<div class="caption"><b>{_text(tile.title)}</b>{lines}</div></li>\n'
    )


def _picture(tile: Tile) -> str:
    if tile.picture.jpeg is None:
        return _text(tile.picture.reason)
    data = base64.b64encode(tile.picture.jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{_text(tile.title)}">'


def _text(text: str) -> str:
    return escape(printable(text))
