"""Read a state dict from torch's old file format, without torch and without executing code of the pickle.

The file (`torch.save` before torch 1.6, `_legacy_save` in torch/serialization.py) is five pickles: a magic number, a
protocol version, facts about the machine, the state dict with a persistent id in place of each storage, and the list
of the storages' keys; then, for each key in that order, the number of elements as int64 and the elements themselves,
all in the machine's byte order. A tensor is a storage, an offset, a size and strides, all in elements.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
}


class TorchFileError(Exception):
    """The file is not a plain state dict in torch's old format."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    elements: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _View:
    return _View(storage, offset, shape, strides)


# The only globals that a state dict needs; a pickle that asks for another one may be an attack. A pickle can also set
# attributes of these objects (opcode BUILD), so they are immutable or created anew for each pickle.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


# The unpickler written in Python: the one in C allocates gigabytes for a damaged file with a huge memo index.
class _StateDictUnpickler(pickle._Unpickler):  # noqa: SLF001 - the pickle module's source documents it as equivalent
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - the base class's own signature
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return partial(_rebuild_tensor)
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise TorchFileError(f"it refers to {module}.{name}, which no state dict needs") from None

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - the base class's own signature
        kind, storage_type, key, _location, elements, view = pid
        if kind != "storage" or storage_type not in _DTYPES.values() or view is not None:
            raise TorchFileError(f"it refers to {kind!r}, expected a plain storage")
        return _Storage(str(key), storage_type, int(elements))


def read_state_dict(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read every tensor of a state dict, as read-only arrays with the dtypes and strides of the tensors.

    Raises:
        TorchFileError: the file is damaged, in another format, or contains more than a state dict.
    """
    try:
        views, storages = _read(io.BytesIO(path.read_bytes()))
        return {name: _array(view, storages) for name, view in views.items()}
    except TorchFileError as error:
        raise TorchFileError(f"{path.name} is not a state dict in torch's old format: {error}") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises nearly any exception
        reason = f"{type(error).__name__}: {error}"
        raise TorchFileError(f"{path.name} is not a state dict in torch's old format: {reason}") from None


def _read(file: io.BytesIO) -> tuple[dict[str, _View], dict[str, npt.NDArray[Any]]]:
    if (_load(file), _load(file)) != (MAGIC, PROTOCOL):
        raise TorchFileError("it does not start with the format's magic number and version")
    machine = _load(file)
    if not machine["little_endian"]:
        raise TorchFileError("it was written on a big-endian machine")
    views = _load(file)
    if not isinstance(views, dict) or not all(isinstance(view, _View) for view in views.values()):
        raise TorchFileError("it does not contain a dict of tensors")
    used = {view.storage for view in views.values()}
    types = {storage.key: storage for storage in used}
    if len(types) != len(used):
        raise TorchFileError("its tensors declare different types for a storage that they share")
    storages = {key: _storage(file, types[key]) for key in _load(file)}
    return views, storages


def _load(file: io.BytesIO) -> Any:  # noqa: ANN401 - whatever was pickled
    return _StateDictUnpickler(file).load()


def _storage(file: io.BytesIO, storage: _Storage) -> npt.NDArray[Any]:
    count, elements = file.read(8), storage.elements
    if len(count) == 8 and int.from_bytes(count, "little", signed=True) != elements:
        raise TorchFileError(f"storage {storage.key} does not have its declared {elements} elements")
    dtype = np.dtype(storage.dtype)
    data = file.read(elements * dtype.itemsize)
    if len(count) != 8 or len(data) != elements * dtype.itemsize:
        raise TorchFileError("it is truncated")
    return np.frombuffer(data, dtype)


def _array(view: _View, storages: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Make the array of a view; the strides matter, because convolution weights are permuted views."""
    elements = storages[view.storage.key]
    inside = all(size >= 0 for size in view.shape) and all(stride >= 0 for stride in view.strides)
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if not inside or view.offset < 0 or (0 not in view.shape and last >= len(elements)):
        raise TorchFileError(f"a tensor reaches outside storage {view.storage.key}")
    if 0 in view.shape:
        return np.empty(view.shape, elements.dtype)
    strides = tuple(stride * elements.itemsize for stride in view.strides)
    # Not copied: with a stride of 0 a few bytes can appear as terabytes.
    return np.lib.stride_tricks.as_strided(elements[view.offset :], view.shape, strides, writeable=False)
