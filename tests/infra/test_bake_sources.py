"""Bundles of models that are downloaded over HTTP or read from local files, and everything that can be wrong."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from handler.model.encoder import load_encoder
from handler.model.self_check import check, embed_test_card
from handler.model.text import load_text_tower
from handler.model.text_labels import TextLabels
from infra.bake import Options, bake
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.file_server import Answer, FileServer
from tests.support.onnx_models import (
    DIM,
    SIZE,
    channels_last,
    encoder,
    flat,
    old_export,
    patches,
    quantised,
    save,
    with_function,
)
from tests.support.towers import make_tower

LICENCE = "Do what you like.\n"

MANIFEST = f"""
name = "own"
embedding_dim = {DIM}

[source]
kind = "file"

[image]
file = {{ path = "vision.onnx" }}
input = "pixel_values"
output = "image_embeds"

[licence]
spdx = "LicenseRef-Own"
file = {{ path = "LICENSE" }}

[preprocess]
input_size = {SIZE}
resize_mode = "shortest_side"
interpolation = "bilinear"
crop = "center"
channel_order = "rgb"
divisor = 255
mean = [0, 0, 0]
std = [1, 1, 1]
"""

TEXT = """
[text]
file = { path = "text.onnx" }
tokenizer = { path = "tokenizer.json" }
input = "input_ids"
output = "text_embeds"
context_length = 77
pad_id = 0
"""

Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model from local files: a manifest and its files."""
    own = tmp_path / "own"
    own.mkdir()
    save(encoder(), own / "vision.onnx")
    (own / "LICENSE").write_text(LICENCE)
    (own / "own.toml").write_text(MANIFEST)
    return own


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text tower and its tokenizer."""
    made = tmp_path_factory.mktemp("texts")
    make_tower(dim=DIM).write(made / "text.onnx")
    write_tokenizer(made / "tokenizer.json")
    return made


def options(tmp_path: Path, **changes: Any) -> Options:
    return Options(progress=False, cache=tmp_path / "cache", **changes)


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "own.toml").read_text()
    assert old in text
    (folder / "own.toml").write_text(text.replace(old, new, 1))


def baked(folder: Path, **changes: Any) -> Path:
    return bake(str(folder / "own.toml"), folder.parent / "bundle", options(folder.parent, **changes))


def refused(folder: Path, **changes: Any) -> str:
    """The error of a bake that fails; checks that it is one line and that no file is left."""
    with pytest.raises(OperatorError) as error:
        baked(folder, **changes)
    assert not (folder.parent / "bundle").exists()
    assert not list(folder.parent.glob(".bake-*"))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_model_of_ones_own(folder: Path) -> None:
    bundle = baked(folder)
    spec = json.loads((bundle / "model.json").read_bytes())
    assert (spec["name"], spec["embedding_dim"], spec["licence"]) == ("own", DIM, "LicenseRef-Own")
    assert (bundle / "LICENSE").read_text() == LICENCE
    assert file_sha256(bundle / "image.onnx") == spec["sha256"] == spec["source_sha256"]
    assert (bundle / "image.onnx").read_bytes() == (folder / "vision.onnx").read_bytes(), "the same bytes as the source"
    assert load_encoder(bundle).graph.startswith("blocks-")


def test_open_dimensions_are_fixed(folder: Path) -> None:
    save(encoder(shape=["n", "c", "h", "w"]), folder / "vision.onnx")
    assert load_encoder(baked(folder)).graph.startswith("blocks-")


def test_take_first_token(folder: Path) -> None:
    plain = embed_test_card(load_encoder(baked(folder)))
    save(encoder(tokens=5), folder / "vision.onnx")
    edit(folder, 'output = "image_embeds"', 'output = "image_embeds"\ntake = "first_token"')
    assert np.allclose(embed_test_card(load_encoder(baked(folder))), plain, rtol=1e-5)


def test_external_data_is_included(folder: Path) -> None:
    plain = embed_test_card(load_encoder(baked(folder)))
    save(encoder(), folder / "vision.onnx", weights="vision.weights")
    edit(folder, "[licence]", '[[image.data]]\npath = "vision.weights"\n\n[licence]')
    assert np.array_equal(embed_test_card(load_encoder(baked(folder))), plain)
    (folder / "vision.weights").unlink()
    with pytest.raises(OperatorError, match=r"vision\.weights"):
        baked(folder)


MODELS = {
    "without blocks": (flat, "optimised"),
    "channels last, a gate and a sum": (channels_last, "blocks-"),
    "weights among the inputs": (old_export, "blocks-"),
    "numbers in a function": (lambda: with_function(2), "blocks-"),
    "quantised": (quantised, "portable"),
    "a batch of one": (lambda: encoder(shape=[1, 3, SIZE, SIZE]), "blocks-"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_many_kinds_are_prepared_or_loaded_unchanged(folder: Path, name: str) -> None:
    make, graph = MODELS[name]
    model = make()
    (folder / "vision.onnx").write_bytes(model.SerializeToString())
    loaded = load_encoder(baked(folder))
    assert loaded.graph.startswith(graph)
    assert check(loaded)["status"] == "ok"
    names = [entry.name for entry in loaded.spec.prepared]
    assert names == {"blocks-": ["blocks-16", "blocks-8"], "optimised": ["optimised"], "portable": []}[graph]


def test_texts_and_labels(folder: Path, texts: Path) -> None:
    for path in texts.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "own.toml").write_text(MANIFEST + TEXT)
    (folder / "labels.txt").write_text("cat\ndog\n")
    loaded = load_encoder(baked(folder, labels=folder / "labels.txt", label_template="a photo of a {}"))
    assert isinstance(loaded.labels, TextLabels)
    assert loaded.labels.names == ("cat", "dog")
    vector = load_text_tower(loaded.bundle).embed(["a photo of a cat"])[0]
    assert np.allclose(loaded.labels.vectors[0], vector / np.linalg.norm(vector), atol=1e-6)
    fingerprint = loaded.spec.fingerprint
    slim = load_encoder(baked(folder, labels=folder / "labels.txt", text=False))
    assert slim.spec.text is None
    assert slim.labels is not None
    assert slim.spec.fingerprint == fingerprint, "image vectors stay comparable"
    assert not {"text.onnx", "tokenizer.json"} & {path.name for path in slim.bundle.iterdir()}


@pytest.mark.parametrize(
    "change",
    [
        lambda own: make_tower(dim=DIM, gain=1.001).write(own / "text.onnx"),
        lambda own: edit(own, "pad_id = 0", "pad_id = 49407"),
        lambda own: (own / "tokenizer.json").write_text((own / "tokenizer.json").read_text() + "\n"),
    ],
)
def test_another_text_tower_changes_only_the_text_fingerprint(folder: Path, texts: Path, change: Change) -> None:
    for path in texts.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "own.toml").write_text(MANIFEST + TEXT)
    before = load_encoder(baked(folder)).spec
    change(folder)
    after = load_encoder(baked(folder)).spec
    assert before.text is not None
    assert after.text is not None
    assert after.text.fingerprint != before.text.fingerprint
    assert after.fingerprint == before.fingerprint


def test_labels_need_a_text_tower(folder: Path) -> None:
    (folder / "labels.txt").write_text("cat\n")
    assert "no text tower" in refused(folder, labels=folder / "labels.txt")


# Models with errors.

WRONG: dict[str, tuple[Change, str]] = {
    "another input": (
        lambda own: save(encoder(takes="image"), own / "vision.onnx"),
        "has the inputs image, not 'pixel_values'",
    ),
    "another output": (
        lambda own: save(encoder(gives="out"), own / "vision.onnx"),
        "has the outputs out, not 'image_embeds'",
    ),
    "another length": (lambda own: save(encoder(dim=41), own / "vision.onnx"), "[N, 40]"),
    "another size": (lambda own: save(encoder(shape=["n", 3, 64, 64]), own / "vision.onnx"), "[N, 3, 32, 32]"),
    "NaNs": (lambda own: save(encoder(gain=float("nan")), own / "vision.onnx"), "no usable vector"),
    "zeros": (lambda own: save(encoder(gain=0), own / "vision.onnx"), "no usable vector"),
    "rows of vectors": (lambda own: save(encoder(tokens=3), own / "vision.onnx"), "[N, 40]"),
    "no graph at all": (lambda own: (own / "vision.onnx").write_bytes(b"\0" * 500), "not an ONNX file"),
    "half a graph": (
        lambda own: (own / "vision.onnx").write_bytes((own / "vision.onnx").read_bytes()[:300]),
        "vision.onnx",
    ),
    "no file": (lambda own: (own / "vision.onnx").unlink(), "cannot be read"),
    "no licence": (lambda own: (own / "LICENSE").unlink(), "LICENSE, which cannot be read"),
    "an empty licence": (lambda own: (own / "LICENSE").write_text("\n"), "is empty"),
    "no licence section": (lambda own: edit(own, 'file = { path = "LICENSE" }', ""), "needs `file` or `text`"),
    "another hash than the pinned one": (
        lambda own: edit(own, '"vision.onnx"', f'"vision.onnx", sha256 = "{"0" * 64}"'),
        "replace the file or correct the pin",
    ),
    "an invalid hash": (
        lambda own: edit(own, '"vision.onnx"', '"vision.onnx", sha256 = "abc"'),
        "it should match pattern",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_in_a_model_is_one_line(folder: Path, name: str) -> None:
    change, says = WRONG[name]
    change(folder)
    assert says in refused(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: make_tower(dim=DIM).write(own / "text.onnx", names=("ids",)), "not 'input_ids'"),
        (lambda own: make_tower(dim=DIM + 1).write(own / "text.onnx"), f"expected float32 [1, {DIM}]"),
        (lambda own: make_tower(dim=DIM, gain=0).write(own / "text.onnx"), "the same vector for every text"),
        (lambda own: (own / "tokenizer.json").write_text("<html>"), "is not a tokenizer"),
    ],
)
def test_an_error_in_a_text_tower_is_one_line(folder: Path, texts: Path, change: Change, says: str) -> None:
    for path in texts.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "own.toml").write_text(MANIFEST + TEXT)
    change(folder)
    assert says in refused(folder)


@pytest.mark.parametrize("room", [3_000, 10_000, 15_000, 18_000, 22_000, 26_000])
def test_a_full_disk_is_one_line(folder: Path, room: int) -> None:
    # A limit on file sizes simulates a full disk: write() fails in the same way.
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room})); "
        "from infra.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "bake", str(folder / "own.toml"), "--out", str(folder.parent / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("own: ")]  # the others are progress
    assert len(errors) == 1, done.stderr
    assert "room" in errors[0]
    assert not list(folder.parent.glob(".bake-*"))
    assert not (folder.parent / "bundle").exists()


def test_every_prepared_graph_has_weights_of_small_products_on_the_left(folder: Path) -> None:
    save(patches(), folder / "vision.onnx")
    bundle = baked(folder)
    for entry in load_encoder(bundle).spec.prepared:
        graph = onnx.load(bundle / entry.graph.name, load_external_data=False).graph
        weights = {tensor.name: tensor for tensor in graph.initializer}
        (product,) = [node for node in graph.node if node.op_type == "FusedMatMul"]
        assert list(weights[product.input[0]].dims) == [96, 64]
        assert weights[product.input[0]].data_location == onnx.TensorProto.EXTERNAL
    assert check(load_encoder(bundle))["status"] == "ok"


def test_a_model_larger_than_2_gb_is_one_line(folder: Path) -> None:
    with (folder / "vision.onnx").open("r+b") as file:
        file.truncate((1 << 31) + 1)  # a sparse file
    assert "larger than 2 GB" in refused(folder)


def test_leftovers_of_a_killed_bake_are_deleted_by_the_next(folder: Path) -> None:
    left = folder.parent / ".bake-killed"
    left.mkdir()
    (left / "half").write_bytes(b"a bundle")
    baked(folder)
    assert not left.exists()


def test_a_bundle_is_replaced_atomically_despite_signals(folder: Path) -> None:
    # Interrupt moves of bundles by signals at various times: there is always a complete bundle.
    code = (
        "import os, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from infra.bake.output_dir import move\n"
        "from infra.common.signals import Terminated, terminations_raised\n"
        "root = Path(sys.argv[1])\n"
        "def make(name):\n"
        "    made = root / f'scratch-{name}' / 'bundle'\n"
        "    made.mkdir(parents=True)\n"
        "    (made / 'model.json').write_text(name)\n"
        "    return made\n"
        "out = root / 'out'\n"
        "make('first').rename(out)\n"
        "seen = 0\n"
        "for number in range(200):\n"
        "    made = make(str(number))\n"
        "    timer = threading.Timer(0.00002 * (number % 20), os.kill, (os.getpid(), signal.SIGTERM))\n"
        "    try:\n"
        "        with terminations_raised():\n"
        "            timer.start()\n"
        "            move(made, out)\n"
        "            timer.join()\n"
        "    except Terminated:\n"
        "        seen += 1\n"
        "    timer.join()\n"
        "    assert (out / 'model.json').read_text(), number\n"
        "print(seen)\n"
    )
    signals = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n"
    done = subprocess.run(
        [sys.executable, "-c", signals + code, str(folder.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Over HTTP.


@pytest.fixture
def served(folder: Path, no_proxies: None) -> Iterator[FileServer]:
    files = {f"/hub/r1/{name}": (folder / name).read_bytes() for name in ("vision.onnx", "LICENSE")}
    with FileServer(files) as server:
        pins = {name: file_sha256(folder / name) for name in ("vision.onnx", "LICENSE")}
        edit(folder, 'kind = "file"', f'kind = "url"\nbase = "{server.url}/hub/r1"')
        for name, sha256 in pins.items():
            edit(folder, f'"{name}"', f'"{name}", sha256 = "{sha256}"')
        yield server


def test_a_connection_that_drops_twice_is_resumed(folder: Path, served: FileServer) -> None:
    length = (folder / "vision.onnx").stat().st_size
    served.answers.extend([Answer(), Answer(cut=length // 3), Answer(cut=length // 3)])  # the licence comes first
    bundle = baked(folder)
    assert served.ranges == [None, None, f"bytes={length // 3}-", f"bytes={2 * (length // 3)}-"]
    assert (bundle / "image.onnx").read_bytes() == (folder / "vision.onnx").read_bytes()


def test_a_file_with_another_hash_is_refused(folder: Path, served: FileServer) -> None:
    assert isinstance(served.content, dict)
    served.content["/hub/r1/vision.onnx"] = encoder(seed=1).SerializeToString()
    assert "sha256" in refused(folder)


def test_a_page_of_a_proxy_is_refused(folder: Path, served: FileServer) -> None:
    page = Answer(body=b"<!doctype html><html>Please log in", headers={"Content-Type": "text/html"})
    served.usual = page
    assert "proxy" in refused(folder)


def test_cached_files_are_not_requested_again(folder: Path, served: FileServer) -> None:
    baked(folder)
    asked = len(served.asked)
    baked(folder)
    assert len(served.asked) == asked


def test_a_mirror_is_used_instead(folder: Path, served: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder, served.url, "https://models.invalid")
    mirror = served.url
    with monkeypatch.context() as patch:
        patch.setattr("infra.bake.download.transfer.time.sleep", lambda _: None)
        assert "models.invalid" in refused(folder)
    baked(folder, mirror=mirror)
    (folder.parent / "cache").rename(folder.parent / "used")
    monkeypatch.setenv("DROPVEC_MIRROR", mirror)
    baked(folder)
    assert {asked.path for asked in served.asked} == {"/hub/r1/vision.onnx", "/hub/r1/LICENSE"}


def test_a_file_that_is_not_pinned_must_be_accepted(folder: Path, served: FileServer) -> None:
    sha256 = file_sha256(folder / "vision.onnx")
    edit(folder, f', sha256 = "{sha256}"', "")
    line = refused(folder)
    assert "unverified" in line
    assert f"vision.onnx has sha256 {sha256}" in line
    assert f"--accept {sha256}" in line
    assert "--accept" in refused(folder, accepted=["0" * 64])
    asked = len(served.asked)
    bundle = baked(folder, accepted=[sha256])
    assert len(served.asked) == asked, "a cached file is not requested again"
    assert json.loads((bundle / "model.json").read_bytes())["source_sha256"] == sha256


def test_an_accepted_hash_may_be_upper_case_and_must_be_valid(folder: Path, served: FileServer) -> None:
    sha256 = file_sha256(folder / "vision.onnx")
    edit(folder, f', sha256 = "{sha256}"', "")
    baked(folder, accepted=[sha256.upper()])
    wrong = [sys.executable, "-m", "infra", "bake", "own", "--out", "x", "--accept", "abc"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "64 hexadecimal digits" in done.stderr


def test_a_text_tower_that_is_left_out_is_not_requested(folder: Path, served: FileServer) -> None:
    (folder / "own.toml").write_text((folder / "own.toml").read_text() + TEXT)
    baked(folder, text=False)
    assert {asked.path for asked in served.asked} == {"/hub/r1/vision.onnx", "/hub/r1/LICENSE"}


def test_progress_of_a_download_is_shown(folder: Path, served: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    bake(str(folder / "own.toml"), folder.parent / "bundle", Options(cache=folder.parent / "cache"))
    assert "vision.onnx" in capsys.readouterr().err


def test_a_path_may_be_a_complete_url(folder: Path, served: FileServer) -> None:
    assert isinstance(served.content, dict)
    served.content["/elsewhere/LICENSE"] = served.content.pop("/hub/r1/LICENSE")
    edit(folder, '"LICENSE"', f'"{served.url}/elsewhere/LICENSE"')
    assert (baked(folder) / "LICENSE").read_text() == LICENCE


# What changes the fingerprint.


@pytest.mark.parametrize(
    "change",
    [
        lambda own: save(encoder(seed=1), own / "vision.onnx"),
        lambda own: save(encoder(gain=1.0001), own / "vision.onnx"),
        lambda own: edit(own, "mean = [0, 0, 0]", "mean = [0, 0, 0.001]"),
        lambda own: edit(own, "std = [1, 1, 1]", "std = [1, 1, 0.999]"),
        lambda own: edit(own, '"bilinear"', '"bicubic"'),
        lambda own: edit(own, '"rgb"', '"bgr"'),
        lambda own: edit(own, "divisor = 255", "divisor = 256"),
        lambda own: edit(own, "input_size = 32", "input_size = 32\nresize_size = 36"),
    ],
)
def test_weights_and_preprocessing_change_the_fingerprint(folder: Path, change: Change) -> None:
    before = load_encoder(baked(folder)).spec.fingerprint
    change(folder)
    assert load_encoder(baked(folder)).spec.fingerprint != before


@pytest.mark.parametrize(
    "change",
    [
        lambda own: edit(own, 'name = "own"', 'name = "ours"'),
        lambda own: (own / "LICENSE").write_text("Other words.\n"),
        lambda own: edit(own, "input_size = 32", "input_size = 32\nresize_size = 32"),
        lambda own: edit(own, "divisor = 255", "divisor = 255.0"),
    ],
)
def test_other_changes_keep_the_fingerprint(folder: Path, change: Change) -> None:
    before = load_encoder(baked(folder)).spec.fingerprint
    change(folder)
    assert load_encoder(baked(folder)).spec.fingerprint == before


def test_any_onnxruntime_runs_the_models_own_graph(folder: Path) -> None:
    bundle = baked(folder)
    spec = json.loads((bundle / "model.json").read_bytes())
    session = ort.InferenceSession(bundle / "image.onnx", providers=["CPUExecutionProvider"])
    pixels = np.zeros((3, 3, SIZE, SIZE), np.float32)
    assert session.run([spec["output_name"]], {spec["input_name"]: pixels})[0].shape == (3, DIM)
