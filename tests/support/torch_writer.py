"""Write torch's old file format, opcode by opcode, without torch and without code of the reader."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}

Flat = npt.NDArray[Any]


@dataclass(frozen=True)
class View:
    """A tensor: the key of its storage, and offset, shape and strides in elements."""

    key: str
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]


def torch_file(views: Mapping[str, View], storages: Mapping[str, Flat], *, little_endian: bool = True) -> bytes:
    """A complete file with a state dict."""
    state = ordered_dict({name: tensor(view, storages[view.key]) for name, view in views.items()})
    keys = b"](" + b"".join(text(key) for key in storages) + b"e"
    stored = (
        struct.pack("<q", flat.size) + flat.astype(flat.dtype.newbyteorder("<")).tobytes() for flat in storages.values()
    )
    return header(little_endian=little_endian) + program(state) + program(keys) + b"".join(stored)


def header(*, magic: int = MAGIC, protocol: int = 1001, little_endian: bool = True) -> bytes:
    """The three pickles before the state dict."""
    machine = b"}(" + text("little_endian") + (b"\x88" if little_endian else b"\x89") + b"u"
    return program(number(magic)) + program(number(protocol)) + program(machine)


def program(body: bytes) -> bytes:
    """A pickle of protocol 2."""
    return b"\x80\x02" + body + b"."


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def ordered_dict(items: Mapping[str, bytes]) -> bytes:
    body = b"".join(text(key) + value for key, value in items.items())
    return name("collections", "OrderedDict") + b")R(" + body + b"u"


def storage(key: str, flat: Flat, *, count: int | None = None) -> bytes:
    kind = name("torch", STORAGES[flat.dtype.name])
    size = number(flat.size if count is None else count)
    return sequence(text("storage"), kind, text(key), text("cpu"), size, b"N") + b"Q"


def tensor(view: View, flat: Flat) -> bytes:
    shape, strides = (sequence(*map(number, sides)) for sides in (view.shape, view.strides))
    arguments = sequence(storage(view.key, flat), number(view.offset), shape, strides, b"\x89", ordered_dict({}))
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def elements(view: View, flat: Flat) -> Flat:
    """The elements of a tensor, as the format defines them."""
    values = np.empty(view.shape, flat.dtype)
    for index in np.ndindex(*view.shape):
        values[index] = flat[view.offset + sum(i * stride for i, stride in zip(index, view.strides, strict=True))]
    return values
