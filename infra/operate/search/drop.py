"""Delete the index of a model."""

from infra.common.errors import OperatorError, UsageError
from infra.operate.search.indexes import Index, require_indexes
from infra.operate.search.status import fetch_models
from infra.operate.stack import DeployedStack

_LEAST_DIGITS = 8
_INDEX_DIGITS = 32


def drop(stack: DeployedStack, fingerprint: str, *, force: bool) -> dict[str, str]:
    """Delete the index of a fingerprint; return its name, for --json.

    Args:
        stack: the stack.
        fingerprint: the model's, or at least 8 digits of its start.
        force: also delete an index that is in use.

    Raises:
        UsageError: it is no fingerprint.
        OperatorError: there is no such index, or it is in use.
    """
    wanted = fingerprint.lower()
    if len(wanted) < _LEAST_DIGITS or not set(wanted) <= set("0123456789abcdef"):
        raise UsageError(f"{fingerprint!r} is not a fingerprint, or at least {_LEAST_DIGITS} digits of its start")
    indexes = require_indexes(stack)
    index = _the_one(indexes.find_all(), wanted)
    models = fetch_models(stack)
    uses = models.uses_of(index.name)
    if not force and (uses or None in (models.searching, models.embedding)):
        reason = f"it is used by {' and '.join(uses)}" if uses else "a function failed, so it may be in use"
        raise OperatorError(f"the index {index.name} stays: {reason}; --force deletes it anyway")
    indexes.delete(index.name)
    print(f"Deleted the index {index.name}. `index rebuild` makes it again from the items of its model.")
    return {"dropped": index.name}


def _the_one(indexes: list[Index], wanted: str) -> Index:
    found = [index for index in indexes if index.fingerprint.startswith(wanted[:_INDEX_DIGITS])]
    if not found:
        known = ", ".join(index.fingerprint[:_LEAST_DIGITS] for index in indexes) or "none"
        raise OperatorError(f"there is no index of the fingerprint {wanted}; there are: {known}")
    if len(found) > 1:
        raise OperatorError(f"several indexes begin with {wanted}: give more digits")
    return found[0]
