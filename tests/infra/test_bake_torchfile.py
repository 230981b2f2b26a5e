"""The restricted reader of old torch files, against files written by an independent writer."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.bake.torchfile import TorchFileError, read_state_dict
from tests.support import torch_writer
from tests.support.torch_writer import View, elements, header, name, number, program, sequence, text, torch_file

FLAT = np.arange(24, dtype=np.float32) * 1.5 - 7


def read(folder: Path, data: bytes) -> dict[str, np.ndarray]:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return read_state_dict(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torchfile")


@st.composite
def views(draw: st.DrawFn) -> View:
    """Any view of a storage of 24 elements: permuted, sliced, overlapping, expanded, empty, without axes."""
    offset = draw(st.integers(0, 23))
    shape, strides, last = [], [], offset
    for _ in range(draw(st.integers(0, 4))):
        stride = draw(st.integers(0, 12))
        size = draw(st.integers(0, min(4, 1 + (23 - last) // stride if stride else 4)))
        last += max(size - 1, 0) * stride
        shape.append(size)
        strides.append(stride)
    return View("0", offset, shape, strides)


@given(view=views(), dtype=st.sampled_from(sorted(torch_writer.STORAGES)))
def test_any_view_is_read_as_the_format_defines_it(folder: Path, view: View, dtype: str) -> None:
    flat = FLAT.astype(dtype)
    found = read(folder, torch_file({"weight": view}, {"0": flat}))["weight"]
    assert found.dtype == np.dtype(dtype)
    assert found.shape == tuple(view.shape)
    assert np.array_equal(found, elements(view, flat))


def test_tensors_share_a_storage_and_keep_their_order(tmp_path: Path) -> None:
    counter = np.array([7], dtype=np.int64)
    tensors = {
        "conv": View("9", 0, [2, 3, 2], [1, 4, 2]),
        "rest": View("9", 12, [12], [1]),
        "steps": View("1", 0, [], []),
    }
    found = read(tmp_path, torch_file(tensors, {"9": FLAT, "1": counter}))
    assert list(found) == ["conv", "rest", "steps"]
    assert np.array_equal(found["conv"], elements(tensors["conv"], FLAT))
    assert np.array_equal(found["rest"], FLAT[12:])
    assert found["steps"].item() == 7


@pytest.mark.parametrize(
    "view",
    [
        View("0", 0, [25], [1]),
        View("0", 24, [1], [1]),
        View("0", -1, [1], [1]),
        View("0", 5, [2], [-1]),
        View("0", 0, [-1], [1]),
        View("0", 0, [3, 3], [8]),
        View("0", 0, [2], [2**62]),
        View("0", 2**80, [1], [1]),
    ],
)
def test_a_view_outside_its_storage_is_refused(tmp_path: Path, view: View) -> None:
    with pytest.raises(TorchFileError):
        read(tmp_path, torch_file({"weight": view}, {"0": FLAT}))


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    data = torch_file({"a": View("0", 0, [24], [1]), "b": View("1", 0, [2], [1])}, {"0": FLAT, "1": FLAT[:2]})
    for length in range(len(data)):
        with pytest.raises(TorchFileError):
            read(tmp_path, data[:length])


@given(position=st.integers(0), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_but_nothing_else(folder: Path, position: int, byte: int) -> None:
    data = bytearray(torch_file({"a": View("0", 0, [4, 6], [6, 1])}, {"0": FLAT}))
    data[position % len(data)] = byte
    try:
        found = read(folder, bytes(data))
    except TorchFileError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


@pytest.mark.parametrize(
    ("module", "attribute", "argument"),
    [
        ("os", "system", "touch {marker}"),
        ("posix", "system", "touch {marker}"),
        ("builtins", "eval", "open({marker!r}, 'w')"),
        ("__builtin__", "eval", "open({marker!r}, 'w')"),
        ("torch", "load", "{marker}"),
        ("collections", "OrderedDict.__init__", "{marker}"),
        ("numpy", "load", "{marker}"),
    ],
)
def test_no_code_of_a_file_is_executed(tmp_path: Path, module: str, attribute: str, argument: str) -> None:
    marker = tmp_path / "ran"
    call = name(module, attribute) + sequence(text(argument.format(marker=str(marker)))) + b"R"
    for data in (program(call), header() + program(call), header() + program(torch_writer.ordered_dict({"a": call}))):
        with pytest.raises(TorchFileError):
            read(tmp_path, data)
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><title>proxy</title>",
        b"PK\x03\x04 the format of torch 1.6",
        program(number(1)),
        header(magic=5) + program(b"}"),
        header(protocol=1002) + program(b"}"),
        header(little_endian=False) + program(b"}") + program(b"]"),
        header() + program(number(5)) + program(b"]"),
        header() + program(torch_writer.ordered_dict({"a": number(5)})) + program(b"]"),
        header() + program(text("a") + b"Q") + program(b"]"),
    ],
)
def test_a_file_that_is_not_a_state_dict_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(TorchFileError, match=r"weights\.pth"):
        read(tmp_path, data)


def test_a_storage_with_another_size_than_declared_is_refused(tmp_path: Path) -> None:
    data = torch_file({"a": View("0", 0, [24], [1])}, {"0": FLAT})
    count = (24).to_bytes(8, "little")
    assert data.count(count) == 1
    with pytest.raises(TorchFileError):
        read(tmp_path, data.replace(count, (23).to_bytes(8, "little")))


def test_a_file_cannot_change_the_reader(tmp_path: Path) -> None:
    good = torch_file({"a": View("0", 0, [24], [1])}, {"0": FLAT})
    state = b"}" + text("dtype") + text("<i4") + b"s"
    for target in (("torch", "FloatStorage"), ("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict")):
        for change in (state + b"b", b"N" + state + b"\x86b"):
            with pytest.raises(TorchFileError):
                read(tmp_path, header() + program(name(*target) + change))
            assert np.array_equal(read(tmp_path, good)["a"], FLAT)


def test_a_file_truncated_before_an_empty_storage_is_refused(tmp_path: Path) -> None:
    data = torch_file({"a": View("0", 0, [0], [1])}, {"0": FLAT[:0]})
    assert read(tmp_path, data)["a"].shape == (0,)
    for cut in range(1, 9):
        with pytest.raises(TorchFileError):
            read(tmp_path, data[:-cut])


def test_a_huge_view_of_few_bytes_takes_no_memory(tmp_path: Path) -> None:
    found = read(tmp_path, torch_file({"a": View("0", 0, [2**40], [0])}, {"0": FLAT}))["a"]
    assert found.shape == (2**40,)


def test_tensors_that_declare_different_types_for_a_storage_are_refused(tmp_path: Path) -> None:
    view = View("0", 0, [24], [1])
    state = {"a": torch_writer.tensor(view, FLAT), "b": torch_writer.tensor(view, FLAT.astype(np.float16))}
    tail = program(b"](" + text("0") + b"e") + (24).to_bytes(8, "little") + FLAT.tobytes()
    with pytest.raises(TorchFileError, match="declare different types"):
        read(tmp_path, header() + program(torch_writer.ordered_dict(state)) + tail)


def test_a_declared_storage_that_is_missing_is_refused(tmp_path: Path) -> None:
    state = torch_writer.ordered_dict({"a": torch_writer.tensor(View("0", 0, [24], [1]), FLAT)})
    with pytest.raises(TorchFileError):
        read(tmp_path, header() + program(state) + program(b"]"))
