"""Records of the table's stream as Lambda delivers them.

The shape is that of https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html, and for TTL's removals of
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html.
"""

import base64
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/vectors/stream/2026-11-29T12:00:00.000"
_TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
_numbers = itertools.count(111)

Wire = Mapping[str, Any]


def record_of(old: Wire | None, new: Wire | None, *, by_ttl: bool = False) -> dict[str, Any]:
    """The record of one change: items in wire form, or None where there is none."""
    images = {name: encoded(image) for name, image in (("NewImage", new), ("OldImage", old)) if image}
    number = next(_numbers)
    change = {
        "ApproximateCreationDateTime": 1795955415.0,
        "Keys": {"source": (new or old or {})["source"]},
        **images,
        "SequenceNumber": f"{number:026}",
        "SizeBytes": 2400,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    return {
        "eventID": f"{number:032x}",
        "eventName": "REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": change,
        **({"userIdentity": _TTL} if by_ttl else {}),
        "eventSourceARN": _ARN,
    }


def event_of(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """An event with these records."""
    return {"Records": list(records)}


def encoded(image: Wire) -> dict[str, Any]:
    """An item in wire form as JSON has it: bytes are base64."""
    return {name: _encoded(value) for name, value in image.items()}


def _encoded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
