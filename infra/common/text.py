"""Text for a terminal."""


def printable(name: str) -> str:
    """A file name with every control character replaced, so that it cannot move the terminal's cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
