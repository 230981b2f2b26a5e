"""PreparedGraph graphs: right on a CPU that they fit, and refused or skipped on another."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from handler.errors import BundleError
from handler.model.bundle_files import sample_sha256
from handler.model.encoder import Encoder, load_encoder, open_portable
from handler.model.prepared import prepared_options
from handler.model.self_check import MIN_COSINE, check, cosine_of, embed_test_card
from infra.bake import bake, prepare
from infra.bake.bundle import Options
from infra.bake.canary import canary
from infra.common.hashing import file_sha256

QUIET = Options(progress=False)
OTHER = {"blocks-16": "blocks-8", "blocks-8": "blocks-16"}


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake("efficientnet-lite0", tmp_path_factory.mktemp("prepare") / "model", QUIET)


@pytest.fixture
def bundle(baked: Path, tmp_path: Path) -> Path:
    return shutil.copytree(baked, tmp_path / "bundle")


def here() -> str:
    """The name of the graph that this CPU needs."""
    return f"blocks-{prepare.block_size(prepare.optimised(canary()))}"


def change(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit `model.json`."""
    spec = json.loads((bundle / "model.json").read_bytes())
    edit(spec)
    (bundle / "model.json").write_text(json.dumps(spec), "utf-8")


def portable(bundle: Path) -> Encoder:
    """The same bundle with the original model loaded."""
    spec = load_encoder(bundle).spec
    return Encoder(bundle, spec, open_portable(bundle, spec), "portable")


def test_there_is_a_graph_for_each_block_size_and_this_cpu_loads_its_own(baked: Path) -> None:
    encoder = load_encoder(baked)
    assert [entry.name for entry in encoder.spec.prepared] == ["blocks-16", "blocks-8"]
    assert encoder.graph == here()


def test_it_gives_the_original_models_vector(baked: Path) -> None:
    vector = embed_test_card(load_encoder(baked))
    assert cosine_of(vector, embed_test_card(portable(baked))) >= 0.999999
    assert check(load_encoder(baked))["status"] == "ok"


def test_the_graph_of_the_other_block_size_never_gives_the_vector(baked: Path) -> None:
    # The reason for canaries: with the wrong block size there is often no error, only a wrong vector.
    spec = load_encoder(baked).spec
    (other,) = (entry for entry in spec.prepared if entry.name != here())
    options = prepared_options(1)
    session = ort.InferenceSession(baked / other.graph.name, options, providers=["CPUExecutionProvider"])
    encoder = Encoder(baked, spec, session, other.name)
    try:
        vector = embed_test_card(encoder)
    except Exception as error:  # noqa: BLE001 - for some models some versions of onnxruntime detect it
        assert "ONNXRuntimeError" in str(error)
        return
    assert vector.shape == (1280,)
    assert np.isfinite(vector).all()
    assert cosine_of(vector, np.array(spec.canonical_vector, dtype=np.float32)) < 0.9


def test_without_a_matching_canary_the_original_model_is_loaded(bundle: Path) -> None:
    change(bundle, lambda spec: spec.update(prepared=[e for e in spec["prepared"] if e["name"] != here()]))
    encoder = load_encoder(bundle)
    assert encoder.graph == "portable"
    assert check(encoder)["status"] == "ok"


def test_graphs_prepared_by_another_onnxruntime_are_skipped(bundle: Path) -> None:
    change(bundle, lambda spec: spec.update(prepared_by="1.0.0"))
    assert load_encoder(bundle).graph == "portable"


def test_a_graph_for_the_other_block_size_under_the_right_name_is_refused(bundle: Path) -> None:
    for ending in ("onnx", "weights"):
        shutil.copyfile(bundle / f"{OTHER[here()]}.{ending}", bundle / f"{here()}.{ending}")
    with pytest.raises(BundleError, match=r"does not have the SHA-256|bytes; expected|is missing"):
        load_encoder(bundle)


def rehash(bundle: Path) -> None:
    """Update the hashes of the prepared files in `model.json`."""

    def edit(spec: dict[str, Any]) -> None:
        for entry in spec["prepared"]:
            for part, digest in (("graph", file_sha256), ("weights", sample_sha256), ("canary", file_sha256)):
                path = bundle / entry[part]["name"]
                entry[part] |= {"bytes": path.stat().st_size, "sha256": digest(path)}

    change(bundle, edit)


def test_a_check_detects_wrong_weights_with_the_right_hash(bundle: Path) -> None:
    weights = bundle / f"{here()}.weights"
    values = np.fromfile(weights, dtype=np.float32)
    values[::2] *= -1
    values.tofile(weights)
    rehash(bundle)
    found = check(load_encoder(bundle))
    assert (found["status"], found["error_code"]) == ("error", "wrong_vector")
    assert found["cosine"] < MIN_COSINE


@pytest.mark.parametrize("part", ["onnx", "weights", "canary.onnx"])
@pytest.mark.parametrize("damage", ["absent", "cut", "zeros", "another file"])
def test_a_damaged_file_is_refused_in_one_line(bundle: Path, part: str, damage: str) -> None:
    path = bundle / f"{here()}.{part}"
    data = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes({"cut": data[:-1], "zeros": bytes(len(data)), "another file": data[::-1]}[damage])
    with pytest.raises(BundleError, match="bake") as error:
        load_encoder(bundle)
    assert "\n" not in str(error.value)


def test_large_weights_are_external_and_aligned_to_cache_lines(baked: Path) -> None:
    graph = onnx.load(baked / f"{here()}.onnx", load_external_data=False)
    outside = [tensor for tensor in graph.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    inside = [tensor for tensor in graph.graph.initializer if tensor.data_location != TensorProto.EXTERNAL]
    facts = [{entry.key: entry.value for entry in tensor.external_data} for tensor in outside]
    assert sum(int(fact["length"]) for fact in facts) > 13_000_000
    assert all(int(fact["offset"]) % 64 == 0 for fact in facts)
    assert all(len(tensor.raw_data) < 1024 for tensor in inside)


def test_a_sample_detects_damage_larger_than_its_gaps_and_may_miss_smaller(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    data = np.random.default_rng(3).bytes(3_000_000)
    path.write_bytes(data)
    before = sample_sha256(path)
    gap = len(data) // 31  # between the beginnings of two pieces

    def after_zeros(start: int, count: int) -> str:
        path.write_bytes(data[:start] + bytes(count) + data[start + count :])
        return sample_sha256(path)

    assert after_zeros(0, 0) == before
    assert before not in {after_zeros(start, gap) for start in range(0, len(data) - gap, gap // 3)}
    assert before not in {after_zeros(0, 1), after_zeros(len(data) - 1, 1)}
    assert after_zeros(gap // 2, 1_000) == before
