"""Which of two pieces of work on one key is the newer, and the condition under which a write may stand.

S3 delivers events at least once and in any order. A put or a delete carries a `sequencer`: a hex string that, for one
key, grows with each change (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
Work that carries none compares and swaps on the item that it read before it read the object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
else:
    Item = Mapping[str, Any]

_WIDTH = 32

# What makes an item the one that was read: no two writes share all of these.
_IDENTITY = ("updated_at", "sequencer", "etag", "fingerprint", "status")


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Work on behalf of an event with a (normalised) sequencer."""

    sequencer: str


@dataclass(frozen=True, slots=True)
class Unsequenced:
    """Work that compares and swaps: on top of the item that it read before it read the object.

    Attributes:
        seen: that item; None when there was none.
        floor: the normalised sequencer of the event that it works for, if it has one.
    """

    seen: Item | None
    floor: str | None = None

    @property
    def sequencer(self) -> str | None:
        """What the item keeps or gets, so that older events stay superseded."""
        return max(text_of(self.seen, "sequencer") or "", self.floor or "") or None


Basis = Sequenced | Unsequenced


@dataclass(frozen=True, slots=True)
class Condition:
    """A DynamoDB condition expression with its placeholders."""

    expression: str
    names: dict[str, str]
    values: "dict[str, AttributeValueTypeDef]"


def normalize_sequencer(sequencer: str) -> str:
    """Bring a sequencer into the form in which text order is event order.

    S3 says: pad the shorter with zeros on the right, then compare as text. Trailing zeros carry nothing then, so they
    are taken off and put on again up to one width for all.
    """
    return sequencer.upper().rstrip("0").ljust(_WIDTH, "0")


def text_of(item: Item | None, name: str) -> str | None:
    """A string attribute of an item, None when it has none."""
    return item[name].get("S") if item and name in item else None


def may_replace(basis: Basis) -> Condition:
    """The condition under which work on this basis may write its outcome.

    An event's write stands over nothing and over older events. Over an item of its own sequencer, or of none, it is
    refused: which of the two looked at the object later is then settled by comparing and swapping.
    """
    if isinstance(basis, Unsequenced):
        return _unchanged(basis.seen)
    return Condition(
        "attribute_not_exists(#source) OR #sequencer < :sequencer",
        {"#source": "source", "#sequencer": "sequencer"},
        {":sequencer": {"S": basis.sequencer}},
    )


def _unchanged(seen: Item | None) -> Condition:
    if seen is None:
        return Condition("attribute_not_exists(#source)", {"#source": "source"}, {})
    names = {f"#{name}": name for name in _IDENTITY}
    present = [name for name in _IDENTITY if name in seen]
    absent = [name for name in _IDENTITY if name not in seen]
    terms = [f"#{name} = :{name}" for name in present] + [f"attribute_not_exists(#{name})" for name in absent]
    return Condition(" AND ".join(terms), names, {f":{name}": seen[name] for name in present})


def is_superseded(basis: Basis, winner: Item) -> bool:
    """Whether the item that refused a write stands for a newer event than the write's."""
    return isinstance(basis, Sequenced) and (text_of(winner, "sequencer") or "") > basis.sequencer
