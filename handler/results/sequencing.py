"""The condition on which a write may replace a key's item.

S3 delivers events at least once and in any order. A put or a delete carries a `sequencer`: a hex string that grows with
each change of one key (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
Work without a sequencer compares and swaps: it reads the item, then the object, and writes only if the item is still
the one that it read.
"""

from handler.frozen import frozen
from handler.results.item import StoredItem

_WIDTH = 32

# Identifies one write of an item: two writes never share all of these.
_IDENTITY = ("updated_at", "sequencer", "etag", "fingerprint", "status")


@frozen
class BySequencer:
    """Replace nothing, or the item of an older event.

    Attributes:
        event: the event's normalised sequencer.
    """

    event: str

    @property
    def sequencer(self) -> str:
        """The item's new sequencer."""
        return self.event

    @property
    def seen(self) -> None:
        """The item was not read."""


@frozen
class CompareAndSwap:
    """Replace exactly the item that was read before the object.

    Attributes:
        seen: that item; None when there was none.
        event: the event's normalised sequencer, if it has one.
    """

    seen: StoredItem | None
    event: str | None = None

    @property
    def sequencer(self) -> str | None:
        """The item's new sequencer: the newest one known, so that older events stay superseded."""
        known = self.seen.sequencer if self.seen else None
        return max(known or "", self.event or "") or None


WriteCondition = BySequencer | CompareAndSwap


@frozen
class Expression:
    """A DynamoDB condition expression with its placeholders."""

    text: str
    names: dict[str, str]
    values: dict[str, dict[str, str]]


def normalize_sequencer(sequencer: str) -> str:
    """Bring a sequencer into the form in which text order is event order.

    S3's rule: pad the shorter one with zeros on the right, then compare as text. So trailing zeros mean nothing; they
    are removed, and all sequencers padded to one width.
    """
    return sequencer.upper().rstrip("0").ljust(_WIDTH, "0")


def expression_of(condition: WriteCondition) -> Expression:
    """The condition in DynamoDB's words.

    An event replaces nothing or an older event's item. It never replaces an item of its own sequencer or of none:
    which of the two read the object later is then decided by comparing and swapping.
    """
    if isinstance(condition, CompareAndSwap):
        return _unchanged(condition.seen)
    return Expression(
        "attribute_not_exists(#source) OR #sequencer < :sequencer",
        {"#source": "source", "#sequencer": "sequencer"},
        {":sequencer": {"S": condition.event}},
    )


def _unchanged(seen: StoredItem | None) -> Expression:
    if seen is None:
        return Expression("attribute_not_exists(#source)", {"#source": "source"}, {})
    known: dict[str, str | None] = {name: getattr(seen, name) for name in _IDENTITY}
    terms = [f"attribute_not_exists(#{name})" if text is None else f"#{name} = :{name}" for name, text in known.items()]
    values = {f":{name}": {"S": text} for name, text in known.items() if text is not None}
    return Expression(" AND ".join(terms), {f"#{name}": name for name in known}, values)


def is_superseded(condition: WriteCondition, item: StoredItem) -> bool:
    """Whether the item belongs to a newer event than the one that is being processed."""
    return isinstance(condition, BySequencer) and (item.sequencer or "") > condition.event
