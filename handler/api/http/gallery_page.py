"""The gallery's page as one document: its styles and its modules are put into it when it is first asked for.

One response is one invocation. For the single files, a browser would send a dozen requests at once, and each of them
could start another instance of the function. The files in `handler/api/gallery` are usual ES modules. Joining them
removes the lines of `import` and the words `export`, so their top-level names must differ.
"""

import base64
import hashlib
import re
from pathlib import Path

from handler.frozen import frozen

_STYLES = '<link rel="stylesheet" href="gallery/gallery.css">'
_SCRIPT = '<script type="module" src="gallery/main.js"></script>'
_MAIN = "main.js"
_IMPORT = re.compile(r'^import (?:\{[^}]*\}|\w+) from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |function |class |const |let )", re.MULTILINE)


@frozen
class Document:
    """A page that needs no other file.

    Attributes:
        html: the page.
        script: the source of its only script, as a content security policy names it.
        style: likewise, of its styles.
    """

    html: str
    script: str
    style: str


def join_page(folder: Path) -> Document:
    """Put the styles and the modules of a folder into its `index.html`.

    Raises:
        OSError: a file is missing.
    """
    page = _read(folder / "index.html")
    style, script = _read(folder / "gallery.css"), join_modules(folder)
    html = page.replace(_STYLES, f"<style>{style}</style>").replace(_SCRIPT, f'<script type="module">{script}</script>')
    return Document(html, _source(script), _source(style))


def join_modules(folder: Path) -> str:
    """The modules that `main.js` needs as one module, each behind those that it imports."""
    joined: dict[str, str] = {}

    def add(name: str) -> None:
        if name in joined:
            return
        text = _read(folder / name)
        joined[name] = ""  # it is under way: imports in a circle end here
        for imported in _IMPORT.findall(text):
            add(imported)
        del joined[name]
        joined[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(_MAIN)
    return "\n".join(joined.values())


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
