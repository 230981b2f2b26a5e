"""Fingerprints: equal if and only if two bundles produce the same vectors for the same images, or the same texts."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

# Part of every fingerprint: increase it if a change in `handler.images` can change vectors.
DECODE_POLICY = 4

# The fields of `model.json` that determine the tensor, by type.
_INTEGERS = ("input_size", "resize_size")
_TEXTS = ("resize_mode", "interpolation", "crop", "channel_order")
_TRIPLES = ("mean", "std")


def fingerprint_of(
    content_sha256: str, output_name: str, preprocess: Mapping[str, Any], decode_policy: int = DECODE_POLICY
) -> str:
    """Hash everything that determines an image's vector.

    Args:
        content_sha256: hex, hash of the original model's operators and weights.
        output_name: the graph's output that is the vector.
        preprocess: an object with the preprocessing fields of `model.json`; other fields are ignored. `divisor`, `mean`
            and `std` are converted to floats, so 255 and 255.0 are equal.
        decode_policy: version of the decoding code.

    Returns:
        SHA-256, hex.
    """
    parts = {
        "graph": content_sha256,
        "output": output_name,
        "preprocess": _tensor_fields(preprocess),
        "decode_policy": decode_policy,
    }
    return sha256_of(parts)


def sha256_of(parts: Mapping[str, object]) -> str:
    """SHA-256, hex, of named values, independent of their order."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _tensor_fields(fields: Mapping[str, Any]) -> dict[str, object]:
    return (
        {name: fields[name] for name in (*_INTEGERS, *_TEXTS)}
        | {"divisor": float(fields["divisor"])}
        | {name: [float(value) for value in fields[name]] for name in _TRIPLES}
    )
