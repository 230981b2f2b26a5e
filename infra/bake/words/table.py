"""The table of an image classifier's words: tab-separated text, one synset a line.

The columns are the synset's id, the number of its class (`-` for a broader synset, which has none), the ids of the
nearest synsets above it, separated by spaces, and its words, separated by `|`, the name first. Lines that begin with
`#` are comments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.common.errors import OperatorError

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """A synset.

    Attributes:
        id: WordNet's, such as `n02123045`.
        number: of its class, from 0; None for a broader synset.
        above: the ids of the nearest synsets above it.
        words: what it is called; the first one is its name.
    """

    id: str
    number: int | None
    above: tuple[str, ...]
    words: tuple[str, ...]


def write_table(rows: Iterable[Row], comment: Sequence[str]) -> str:
    """The table as text, under a comment."""
    return "".join([*(f"# {line}".rstrip() + "\n" for line in comment), *map(_line, rows)])


def read_table(path: Path) -> list[Row]:
    """Read and check a table.

    Raises:
        OperatorError: it cannot be read, or a line is not a row; the text names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read the table of words: {error}") from None
    rows = [_row(path, number, line) for number, line in enumerate(lines, start=1) if not line.startswith("#")]
    classes = [row.number for row in rows if row.number is not None]
    if not classes or classes != list(range(len(classes))):
        raise OperatorError(f"{path} does not number its classes 0, 1, 2 and so on")
    known: set[str] = {row.id for row in rows}
    lost = [(row.id, above) for row in rows for above in row.above if above not in known]
    if lost or len(known) != len(rows):
        what = f"{lost[0][0]} is below {lost[0][1]}, which has no line" if lost else "a synset has two lines"
        raise OperatorError(f"{path} is not a table of words: {what}")
    return rows


def _line(row: Row) -> str:
    number = _NONE if row.number is None else str(row.number)
    return "\t".join([row.id, number, " ".join(row.above), "|".join(row.words)]) + "\n"


def _row(path: Path, number: int, line: str) -> Row:
    try:
        name, of_class, above, words = line.split("\t")
        row = Row(name, None if of_class == _NONE else int(of_class), tuple(above.split()), tuple(words.split("|")))
    except ValueError:
        raise OperatorError(f"{path} line {number} is not four columns with tabs between them") from None
    if not name or not all(row.words):
        raise OperatorError(f"{path} line {number} lacks an id or a word")
    return row
