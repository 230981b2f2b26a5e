"""Fingerprints: equal if and only if two bundles make the same vector of the same bytes, or of the same text."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

# Part of every fingerprint: raise it when a change in `handler.images` can change a stored vector.
DECODE_POLICY = 3

# What `model.json` says of the way from pixels to the tensor, and how each is written.
_INTEGERS = ("input_size", "resize_size")
_WORDS = ("resize_mode", "interpolation", "crop", "channel_order")
_THREES = ("mean", "std")


def fingerprint_of(
    content_sha256: str, output_name: str, preprocess: Mapping[str, Any], decode_policy: int = DECODE_POLICY
) -> str:
    """Hash all that decides what an image's vector is.

    Args:
        content_sha256: hex, of the graph's operators and weights as the model's makers mean them.
        output_name: which of the graph's outputs the vector is.
        preprocess: has the preprocessing fields of `model.json`, and maybe others; a number that may be broken counts
            as the float that it is.
        decode_policy: its version.

    Returns:
        SHA-256, hex.
    """
    parts = {
        "graph": content_sha256,
        "output": output_name,
        "preprocess": _pixels(preprocess),
        "decode_policy": decode_policy,
    }
    return sha256_of(parts)


def sha256_of(parts: Mapping[str, object]) -> str:
    """SHA-256, hex, of named values; their order does not matter."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _pixels(fields: Mapping[str, Any]) -> dict[str, object]:
    return (
        {name: fields[name] for name in (*_INTEGERS, *_WORDS)}
        | {"divisor": float(fields["divisor"])}
        | {name: [float(value) for value in fields[name]] for name in _THREES}
    )
