"""Text for a terminal."""

from collections.abc import Iterable


def printable(name: str) -> str:
    """A file name with every control character replaced, so that it cannot move the terminal's cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)


def suggestion(word: str, known: Iterable[str]) -> str:
    """A question that names the known words that `word` is nearest to, such as `; did you mean demo?`, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a misspelt word

    nearest = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(nearest)}?" if nearest else ""
