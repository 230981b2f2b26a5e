"""The exceptions of the operator's commands, and how they quote the errors of libraries."""


class OperatorError(Exception):
    """What is wrong and what to do, in one line. The command prints it without a traceback and exits with 1."""


class UsageError(OperatorError):
    """The arguments do not fit together, in one line. The command prints it and exits with 2."""


class CheckError(OperatorError):
    """A check before any change found what would fail, in one line. The command prints it and exits with 2."""


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of an error's text, at most `limit` characters; the name of its type if it has no text."""
    lines = str(error).strip().splitlines()
    return lines[0][:limit] if lines else type(error).__name__
