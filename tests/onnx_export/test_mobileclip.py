"""Export MobileCLIP with random weights, and compare with PyTorch before reparameterisation."""

import os
import pickle
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import save_file

from infra.cli.main import main
from infra.common.errors import OperatorError
from infra.onnx_export.contract import IMAGE, MODELS, TEXT, TOWERS
from infra.onnx_export.graph import check_graph
from infra.onnx_export.weights import load_tower
from tests.onnx_export.layouts import apples_layout, random_model

# One export takes 15 to 90 seconds, depending on the machine and its load.
pytestmark = pytest.mark.timeout(900)

START, END, WORD = 49406, 49407, 320


@dataclass(frozen=True)
class Checkpoints:
    """Random weights of a model: as a module and as files."""

    model: Any
    apples: Path
    open_clips: Path


def checkpoints(configuration: str, folder: Path) -> Checkpoints:
    model = random_model(configuration)
    made = Checkpoints(model, folder / "mobileclip.pt", folder / "open_clip_model.safetensors")
    torch.save(apples_layout(model), made.apples)
    save_file(model.state_dict(), made.open_clips)
    return made


@pytest.fixture(scope="module")
def s2(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return checkpoints("MobileCLIP-S2", tmp_path_factory.mktemp("s2"))


@pytest.fixture(scope="module")
def s0(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return checkpoints("MobileCLIP2-S0", tmp_path_factory.mktemp("s0"))


@pytest.fixture(scope="module")
def s0_graph(s0: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graphs") / "deep" / "image.onnx"
    assert main(["export", "mobileclip-s0", "--weights", str(s0.apples), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def image_graph(s2: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graphs") / "image.onnx"
    assert main(["export", "mobileclip-s2", "--weights", str(s2.apples), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def text_graph(s2: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graphs") / "text.onnx"
    arguments = ["--tower", "text", "--weights", str(s2.open_clips), "--out", str(out)]
    assert main(["export", "mobileclip-s2", *arguments]) == 0
    return out


def run(graph: Path, given: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    vectors: np.ndarray[Any, np.dtype[np.float32]] = session.run(None, {name: given.numpy()})[0]
    return vectors


def signature(value: onnx.ValueInfoProto) -> tuple[str, int, list[str | int]]:
    kind = value.type.tensor_type
    return value.name, kind.elem_type, [dim.dim_param or dim.dim_value for dim in kind.shape.dim]


def tokens(*words: int) -> Any:
    row = torch.zeros((1, 77), dtype=torch.int64)
    row[0, : len(words) + 2] = torch.tensor([START, *words, END])
    return row


@pytest.mark.parametrize("batch", [1, 3])
def test_image_vectors_equal_pytorchs(s2: Checkpoints, image_graph: Path, batch: int) -> None:
    pixels = torch.rand((batch, 3, 256, 256), generator=torch.Generator().manual_seed(batch))
    with torch.inference_mode():
        wanted = s2.model.encode_image(pixels).numpy()
    got = run(image_graph, pixels)
    assert got.shape == wanted.shape == (batch, 512)
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() <= 1e-4 * min(1, np.abs(wanted).max())
    assert np.abs(wanted - wanted.mean(axis=1, keepdims=True)).max() > 0.01, "the vectors must depend on the input"


@pytest.mark.parametrize("batch", [1, 3])
def test_text_vectors_equal_pytorchs(s2: Checkpoints, text_graph: Path, batch: int) -> None:
    texts = torch.cat([tokens(*range(WORD, WORD + 37 * i)) for i in range(batch)])
    with torch.inference_mode():
        wanted = s2.model.encode_text(texts).numpy()
    got = run(text_graph, texts)
    assert got.shape == wanted.shape == (batch, 512)
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() <= 1e-4 * min(1, np.abs(wanted).max())


def test_text_has_no_causal_mask(text_graph: Path) -> None:
    padded = tokens(WORD)
    after_the_end = padded.clone()
    after_the_end[0, 50] = WORD
    assert np.abs(run(text_graph, padded) - run(text_graph, after_the_end)).max() > 1e-3


def test_the_files_declare_their_inputs_and_outputs(image_graph: Path, text_graph: Path) -> None:
    image, text = onnx.load(image_graph), onnx.load(text_graph)
    assert [(entry.domain, entry.version) for entry in (*image.opset_import, *text.opset_import)] == [("", 20)] * 2
    vectors = (onnx.TensorProto.FLOAT, ["batch", 512])
    assert [signature(value) for value in (*image.graph.input, *image.graph.output)] == [
        ("pixel_values", onnx.TensorProto.FLOAT, ["batch", 3, 256, 256]),
        ("image_embeds", *vectors),
    ]
    assert [signature(value) for value in (*text.graph.input, *text.graph.output)] == [
        ("input_ids", onnx.TensorProto.INT64, ["batch", 77]),
        ("text_embeds", *vectors),
    ]


def test_the_image_graph_is_reparameterised(s2: Checkpoints, image_graph: Path) -> None:
    trained = Counter(type(module).__name__ for module in s2.model.visual.modules())
    exported = Counter(node.op_type for node in onnx.load(image_graph).graph.node)
    assert trained["Conv2d"] > exported["Conv"] == 189
    # The remaining ones are the norms before attention, which do not follow a convolution.
    assert trained["BatchNorm2d"] > exported["BatchNormalization"] == trained["AttentionBlock"] == 4


@pytest.mark.parametrize("graph", ["image_graph", "text_graph"])
def test_a_graph_has_no_paths_of_this_machine(request: pytest.FixtureRequest, graph: str) -> None:
    data: bytes = request.getfixturevalue(graph).read_bytes()
    assert not [word for word in (b"site-packages", b"stack_trace", os.fsencode(Path.cwd())) if word in data]


def test_only_the_graph_is_left(s0_graph: Path) -> None:
    assert list(s0_graph.parent.iterdir()) == [s0_graph]


@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS)
def test_both_layouts_are_the_same_tower(s2: Checkpoints, tower: Any) -> None:
    wanted = getattr(s2.model, tower.attribute).state_dict()
    for path in (s2.apples, s2.open_clips):
        got = load_tower("mobileclip-s2", MODELS["mobileclip-s2"], tower, path).state_dict()
        assert list(got) == list(wanted)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_a_checkpoint_of_a_training_run_in_float16(s2: Checkpoints, tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pt"
    state = {f"module.{name}": tensor.half() for name, tensor in s2.model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, path)
    tower = load_tower("mobileclip2-s2", MODELS["mobileclip2-s2"], TEXT, path)
    assert tower.text_projection.dtype == torch.float32
    assert torch.equal(tower.text_projection, s2.model.text.text_projection.half().float())


def test_s0_has_an_image_tower_only(
    s0: Checkpoints, s0_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = torch.rand((2, 3, 256, 256), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        wanted = s0.model.encode_image(pixels).numpy()
    assert np.abs(run(s0_graph, pixels) - wanted).max() <= 1e-4 * min(1, np.abs(wanted).max())
    arguments = ["--tower", "text", "--weights", str(s0.apples), "--out", str(tmp_path / "text.onnx")]
    assert main(["export", "mobileclip-s0", *arguments]) == 1
    assert "no text tower of mobileclip-s0" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", [1.001, float("nan")])
def test_a_graph_of_other_weights_is_refused(s0: Checkpoints, s0_graph: Path, spoil: float) -> None:
    other = deepcopy(s0.model.visual)
    with torch.no_grad():
        other.trunk.head.fc.weight.mul_(spoil)
    with pytest.raises(OperatorError, match="differ from PyTorch's"):
        check_graph(IMAGE, other, s0_graph)


class Dangerous:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


def html(path: Path, _state: dict[str, Any]) -> None:
    path.write_text("<!doctype html><title>Sign in to the proxy</title>")


def nothing(path: Path, _state: dict[str, Any]) -> None:
    path.write_bytes(b"")


def truncated(path: Path, state: dict[str, Any]) -> None:
    torch.save(state, path)
    os.truncate(path, path.stat().st_size // 2)


def code(path: Path, _state: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps(Dangerous(path.with_name("ran"))))


def a_list(path: Path, state: dict[str, Any]) -> None:
    torch.save(list(state.values()), path)


def text_only(path: Path, _state: dict[str, Any]) -> None:
    torch.save({"text.ln_final.weight": torch.ones(512)}, path)


def one_less(path: Path, state: dict[str, Any]) -> None:
    torch.save({name: tensor for name, tensor in state.items() if name != "visual.trunk.head.fc.weight"}, path)


def one_more(path: Path, state: dict[str, Any]) -> None:
    torch.save({**state, "visual.trunk.head.extra": torch.ones(1)}, path)


def one_of_another_shape(path: Path, state: dict[str, Any]) -> None:
    torch.save({**state, "visual.trunk.head.fc.weight": torch.ones((512, 512))}, path)


def not_a_number(path: Path, state: dict[str, Any]) -> None:
    torch.save({**state, "visual.trunk.head.fc.bias": torch.full((512,), float("nan"))}, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (None, "cannot read"),
        (html, "damaged, or is not a checkpoint"),
        (nothing, "damaged, or is not a checkpoint"),
        (truncated, "damaged, or is not a checkpoint"),
        (code, "damaged, or is not a checkpoint"),
        (a_list, "does not contain a dict of tensors"),
        (text_only, "tensors missing (such as trunk."),
        (one_less, "1 tensors missing (such as trunk.head.fc.weight)"),
        (one_more, "1 tensors unexpected (such as trunk.head.extra)"),
        (one_of_another_shape, "1 tensors of another shape (such as trunk.head.fc.weight)"),
        (not_a_number, "1 tensors not finite (such as trunk.head.fc.bias)"),
    ],
)
def test_wrong_weights_are_one_line_and_change_nothing(
    s0: Checkpoints,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path, dict[str, Any]], None] | None,
    said: str,
) -> None:
    weights, out = tmp_path / "weights.pt", tmp_path / "out" / "image.onnx"
    out.parent.mkdir()
    out.write_bytes(b"an earlier graph")
    if write:
        write(weights, {f"visual.{name}": tensor for name, tensor in s0.model.visual.state_dict().items()})
    assert main(["export", "mobileclip-s0", "--weights", str(weights), "--out", str(out)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"dropvec: {'' if write else 'cannot read '}{weights}")
    assert said in line
    assert line.count("\n") == 1
    assert (list(out.parent.iterdir()), out.read_bytes()) == ([out], b"an earlier graph")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("out", ["", "a file/image.onnx"])
def test_an_output_that_cannot_be_written_is_one_line(
    s0: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "a file").touch()
    assert main(["export", "mobileclip-s0", "--weights", str(s0.apples), "--out", str(tmp_path / out)]) == 1
    line = capsys.readouterr().err
    assert "--out" in line
    assert line.count("\n") == 1
