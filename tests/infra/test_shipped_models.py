"""Every shipped manifest, baked from a local mirror with files of the right names and shapes but random weights."""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from handler.model.encoder import load_encoder
from handler.model.self_check import check
from handler.model.text import load_text_tower
from infra.bake import Options, bake
from infra.common.paths import MANIFESTS
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.file_server import FileServer
from tests.support.manifests import changed_manifest
from tests.support.onnx_models import encoder
from tests.support.towers import make_tower

URLS = [
    path.stem for path in sorted(MANIFESTS.glob("*.toml")) if tomllib.loads(path.read_text())["source"]["kind"] == "url"
]


def substitutes(table: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """A substitute for each file of a manifest, by its path."""
    image, size, dim = table["image"], table["preprocess"]["input_size"], table["embedding_dim"]
    model = encoder(
        takes=image["input"],
        gives=image["output"],
        dim=dim,
        shape=["batch", 3, size, size],
        tokens=5 if image.get("take") == "first_token" else 0,
    )
    files = {image["file"]["path"]: model.SerializeToString()}
    if "text" in table:
        tower = make_tower(dim=dim).write(folder / "text.onnx", output=table["text"]["output"])
        files[table["text"]["file"]["path"]] = tower.read_bytes()
        files[table["text"]["tokenizer"]["path"]] = write_tokenizer(folder / "tokenizer.json").read_bytes()
    if "file" in table["licence"]:
        files[table["licence"]["file"]["path"]] = b"Words of a licence."
    return files


def test_the_shipped_models() -> None:
    assert {"mobileclip-s2", "mobileclip-s0", "mobileclip2-s2", "dinov2-small", "clip-vit-b-32"} <= set(URLS)


@pytest.mark.parametrize("name", URLS)
def test_it_bakes(name: str, tmp_path: Path, no_proxies: None) -> None:
    table = tomllib.loads((MANIFESTS / f"{name}.toml").read_text())
    files = substitutes(table, tmp_path)
    path = changed_manifest(tmp_path / "models", name=name)
    text = re.sub(r"(?m)^bytes = .*$", "", path.read_text())
    accepted = []
    for source, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        text, pinned = re.subn(rf'(path = "{re.escape(source)}"\nsha256 = )"[0-9a-f]{{64}}"', rf'\1"{sha256}"', text)
        accepted += [] if pinned else [sha256]
    path.write_text(text)
    base = table["source"]["base"]
    urls = {source if "://" in source else f"{base}/{source}": data for source, data in files.items()}
    served = {"/" + url.split("/", 3)[3]: data for url, data in urls.items()}
    with FileServer(served) as server:
        options = Options(accepted=accepted, mirror=server.url, progress=False, cache=tmp_path / "cache")
        loaded = load_encoder(bake(str(path), tmp_path / "bundle", options))
        asked = len(server.asked)
        bake(str(path), tmp_path / "bundle", options)
        assert len(server.asked) == asked, "every file is in the cache"
    assert loaded.spec.name == name
    assert loaded.graph.startswith("blocks-")
    assert check(loaded)["status"] == "ok"
    assert (loaded.spec.text is not None) == ("text" in table)
    if loaded.spec.text is not None:
        assert load_text_tower(loaded.bundle).embed(["a cat"]).shape == (1, table["embedding_dim"])
