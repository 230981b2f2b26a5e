"""Text for a terminal."""


def printable(name: str) -> str:
    """A file's name with all that could move a terminal's cursor replaced."""
    return "".join(character if character.isprintable() else "�" for character in name)
