"""The one exception of the operator's commands."""


class OperatorError(Exception):
    """What went wrong and what to do about it, in one line: printed as it is, without a traceback."""
