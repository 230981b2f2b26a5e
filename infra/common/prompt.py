"""Ask the user. Standard library only."""


def confirm(question: str, *, yes: bool = False) -> bool:
    """Ask the user, unless `yes`; an empty answer and a closed standard input mean no."""
    if yes:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False
