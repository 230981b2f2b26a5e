"""Names of the stack's functions."""


def unqualified(name: str | None) -> str:
    """A function's name without its alias, for calls that change its latest code or configuration."""
    assert name
    return name.partition(":")[0]
