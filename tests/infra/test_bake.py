"""efficientnet-lite0, baked and loaded as the function loads it."""

import hashlib
import json
import stat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import orjson
import pytest

from handler.images.preprocess import to_tensor
from handler.model.encoder import load_encoder
from infra.bake import bake
from infra.bake.bundle import Options
from infra.bake.graph import build_graph
from infra.bake.manifest_file import read_manifest
from infra.bake.torchfile import read_state_dict
from infra.common.errors import OperatorError
from infra.common.paths import CACHE, MANIFESTS
from tests.support.manifests import changed_manifest
from tests.support.pictures import card, picture
from tests.support.torch_writer import View, torch_file

MODEL = "efficientnet-lite0"
QUIET = Options(progress=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(MODEL, tmp_path_factory.mktemp("bake") / "deep" / MODEL, QUIET)


@pytest.fixture(scope="module")
def session(bundle: Path) -> ort.InferenceSession:
    return ort.InferenceSession(bundle / "image.onnx", providers=["CPUExecutionProvider"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_vector_equals_that_of_another_implementation(bundle: Path) -> None:
    encoder = load_encoder(bundle)
    vector = encoder.embed(to_tensor(card(), encoder.spec.preprocess))
    reference = np.array(json.loads((MANIFESTS / f"{MODEL}.vector.json").read_bytes()))
    assert vector.shape == reference.shape == (1280,)
    assert np.abs(vector - reference).max() < 1e-4
    assert np.allclose(vector, encoder.spec.canonical_vector, atol=1e-5)


def test_model_json_describes_the_files(bundle: Path) -> None:
    spec = orjson.loads((bundle / "model.json").read_bytes())
    graph = (bundle / spec["file"]).read_bytes()
    assert (spec["bytes"], spec["sha256"]) == (len(graph), hashlib.sha256(graph).hexdigest())
    assert (spec["name"], spec["embedding_dim"], spec["input_size"]) == (MODEL, 1280, 224)
    assert (spec["mean"], spec["std"], spec["divisor"]) == ([127] * 3, [128] * 3, 1)
    assert spec["licence"] == "Apache-2.0"
    licence = (bundle / spec["licence_file"]).read_text("utf-8")
    assert "ML Illustrated" in licence
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in licence
    prepared = [
        file["name"] for entry in spec["prepared"] for file in (entry["graph"], entry["weights"], entry["canary"])
    ]
    labels = [file["name"] for file in spec["labels"].values() if isinstance(file, dict)]
    named = {"model.json", spec["file"], spec["licence_file"], *prepared, *labels}
    assert {path.name for path in bundle.iterdir()} == named


def test_every_user_can_read_it(bundle: Path) -> None:
    # The function runs as another user.
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o044 for path in (bundle, *bundle.iterdir()))


def test_a_batch_of_three_agrees_with_three_of_one(bundle: Path, session: ort.InferenceSession) -> None:
    how = load_encoder(bundle).spec.preprocess
    tensors = [to_tensor(picture(250, 300, seed=seed), how) for seed in range(3)]
    alone = np.concatenate([session.run(["features"], {"image": tensor})[0] for tensor in tensors])
    (together,) = session.run(["features"], {"image": np.concatenate(tensors)})
    assert together.shape == (3, 1280)
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(alone[0], alone[1], atol=1e-2)


def test_the_graph_is_plain_folded_and_headless(bundle: Path) -> None:
    model = onnx.load(bundle / "image.onnx")
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert [list(tensor.dims) for tensor in model.graph.initializer if tensor.name in {"zero", "six"}] == [[], []]
    assert set(operators) == {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten"}
    # 1 + 16 * 3 - 1 + 1 convolutions, of which the 16 projections have no ReLU6; 9 blocks have a shortcut.
    assert (operators.count("Conv"), operators.count("Clip"), operators.count("Add")) == (49, 33, 9)
    assert sum(np.prod(tensor.dims, dtype=int) for tensor in model.graph.initializer) < 3_400_000


def test_baking_again_replaces_the_bundle_with_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    bake(MODEL, out, QUIET)
    (out / "image.onnx").write_bytes(b"damaged")
    bake(MODEL, out, QUIET)
    assert contents(out) == contents(bundle)
    assert list(tmp_path.iterdir()) == [out]


def test_an_empty_directory_is_used(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    bake(MODEL, tmp_path / "model", QUIET)
    assert contents(tmp_path / "model") == contents(bundle)


def test_a_directory_that_is_not_a_bundle_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"precious")
    (tmp_path / "file").write_bytes(b"precious")
    # TensorFlow.js writes such a file.
    (tmp_path / "photos" / "model.json").write_text('{"format": "graph-model"}')
    for out in (tmp_path / "photos", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OperatorError, match="--out"):
            bake(MODEL, out, QUIET)
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mean = [127, 127, 127]", "mean = [0, 0, 0]"),
        ('channel_order = "rgb"', 'channel_order = "bgr"'),
        ("input_size = 224", "input_size = 240"),
        ("embedding_dim = 1280", "embedding_dim = 1000"),
        ('output = "features"', 'output = "vector"'),
        ('vector.json"', 'vector.nowhere.json"'),
        ("57934424.pth", "57934425.pth"),
        ('sha256 = "5793', 'sha256 = "0000'),
    ],
)
def test_a_bake_that_fails_verification_changes_nothing(bundle: Path, tmp_path: Path, old: str, new: str) -> None:
    own = changed_manifest(tmp_path / "models", old, new)
    out = tmp_path / "model"
    bake(MODEL, out, QUIET)
    with pytest.raises(OperatorError) as error:
        bake(str(own), out, QUIET)
    assert "\n" not in str(error.value)
    assert contents(out) == contents(bundle)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "models"]


def row_major(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[axis + 1 :], dtype=int)) for axis in range(len(shape))]


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        ("_blocks.3._project_conv.weight", (20, 144, 1, 1)),
        ("_blocks.3._project_conv.weight", (24, 143, 1, 1)),
        ("_conv_head.weight", (3,)),
    ],
)
def test_other_weights_are_one_line(bundle: Path, tmp_path: Path, tensor: str, shape: tuple[int, ...]) -> None:
    right = read_state_dict(CACHE / MODEL / "efficientnet-lite0-57934424.pth")
    weights = right | {tensor: np.zeros(shape, np.float32)}
    views = {name: View(name, 0, array.shape, row_major(array.shape)) for name, array in weights.items()}
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_file(views, {name: np.array(array).reshape(-1) for name, array in weights.items()}))
    with pytest.raises(OperatorError, match="does not contain the weights") as error:
        build_graph(read_manifest(MANIFESTS / f"{MODEL}.toml").image, path)
    assert "\n" not in str(error.value)


def test_progress_is_one_line_for_each_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bake(MODEL, tmp_path / "quiet", QUIET)
    assert capsys.readouterr().err == ""
    bake(MODEL, tmp_path / "model")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(MODEL) for line in lines)
