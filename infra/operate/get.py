"""Print the item of one object."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from infra.common.errors import OperatorError
from infra.common.items import Item, plain
from infra.common.progress import size
from infra.common.text import printable
from infra.operate.stack import DeployedStack

_SHOWN_NUMBERS = 4
_SHOWN_LABELS = 5
_ORDER = ("status", "error_code", "error", "model", "fingerprint", "format", "etag", "version_id", "sequencer")


def get(stack: DeployedStack, source: str, *, as_json: bool) -> None:
    """Print an object's item.

    Args:
        stack: the stack.
        source: `s3://bucket/key`, the key not URL-encoded.
        as_json: print the complete item as JSON, the vector as a list of numbers.

    Raises:
        OperatorError: there is no item, or `source` has another form.
    """
    if not source.startswith("s3://"):
        raise OperatorError(f"{source} is not of the form s3://bucket/key")
    key: Any = {"source": {"S": source}}
    found = stack.dynamodb.get_item(TableName=stack.table, Key=key, ConsistentRead=True).get("Item")
    if found is None:
        raise OperatorError(
            f"the table {stack.table} has no item for {source}: the object was not embedded, or was deleted more than "
            "30 days ago; check the key, which must not be URL-encoded"
        )
    item = plain(found)
    if as_json:
        print(orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(lines(item)))


def lines(item: Item) -> Iterator[str]:
    """A plain item as lines of text."""
    yield printable(item["source"])
    fields = {name: str(item[name]) for name in _ORDER if name in item}
    if "width" in item:
        fields["image"] = f"{item['width']} x {item['height']} pixels"
    if "bytes" in item:
        fields["size"] = size(item["bytes"])
    if "embedding" in item:
        fields["vector"] = _vector(item)
    if "labels" in item:
        fields["labels"] = _labels(item["labels"])
    fields |= {name: str(item[name]) for name in ("result", "updated_at", "expires_at") if name in item}
    yield from (printable(f"  {name:12} {value}") for name, value in fields.items())


def _vector(item: Item) -> str:
    vector = item["embedding"]
    first = ", ".join(f"{value:.4f}" for value in vector[:_SHOWN_NUMBERS])
    length = float(np.linalg.norm(vector))
    return f"[{first}, …] {item['embedding_dim']} x {item['embedding_dtype']}, length {length:.4f}"


def _labels(labels: Sequence[dict[str, Any]]) -> str:
    shown = [f"{label['label']} {label['score']:.3f}" for label in labels[:_SHOWN_LABELS]]
    more = len(labels) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")
