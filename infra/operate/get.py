"""One result."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from infra.common.errors import OperatorError
from infra.common.items import Item, plain
from infra.common.progress import size
from infra.common.text import printable
from infra.operate.account import Account

_FIRST = 4
_ORDER = ("status", "error_code", "error", "model", "fingerprint", "format", "etag", "version_id", "sequencer")


def get(account: Account, source: str, *, as_json: bool) -> None:
    """Print what the table says of an object.

    Args:
        account: where.
        source: `s3://bucket/key`, the key as it is.
        as_json: all of it, the vector as a list of numbers.

    Raises:
        OperatorError: it says nothing, or that is no object's address.
    """
    if not source.startswith("s3://"):
        raise OperatorError(f"{source} is not of the form s3://bucket/key")
    key: Any = {"source": {"S": source}}
    found = account.dynamodb.get_item(TableName=account.table, Key=key, ConsistentRead=True).get("Item")
    if found is None:
        raise OperatorError(
            f"the table {account.table} has no item for {source}: it was never embedded, or it was deleted long ago"
        )
    item = plain(found)
    if as_json:
        print(orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(lines(item)))


def lines(item: Item) -> Iterator[str]:
    """A plain item as a person reads it."""
    yield printable(item["source"])
    told = {name: str(item[name]) for name in _ORDER if name in item}
    if "width" in item:
        told["picture"] = f"{item['width']} x {item['height']} pixels"
    if "bytes" in item:
        told["size"] = size(item["bytes"])
    if "embedding" in item:
        told["vector"] = _vector(item)
    if "labels" in item:
        told["labels"] = ", ".join(_label(label["M"]) for label in item["labels"])
    told |= {name: str(item[name]) for name in ("result", "updated_at", "expires_at") if name in item}
    yield from (printable(f"  {name:12} {value}") for name, value in told.items())


def _vector(item: Item) -> str:
    vector = item["embedding"]
    first = ", ".join(f"{value:.4f}" for value in vector[:_FIRST])
    length = float(np.linalg.norm(vector))
    return f"[{first}, …] {item['embedding_dim']} x {item['embedding_dtype']}, length {length:.4f}"


def _label(label: dict[str, Any]) -> str:
    return f"{label['label']['S']} {float(label['score']['N']):.3f}"
