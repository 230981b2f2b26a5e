"""Make the models and pictures of the benchmarks.

    python -m tests.bench.sources model NAME|DIR      bakes a model if needed
    python -m tests.bench.sources standin MAKER.py    bakes the S2-shaped model
    python -m tests.bench.sources text MAKER.py       bakes the S2-shaped text tower
    python -m tests.bench.sources tiny FOLDER         makes a model whose inference takes almost no time
    python -m tests.bench.sources pictures FOLDER     makes the pictures

The last line of the output is the path of the result. This is a separate program, so that the process of the benchmarks
stays small and does not open the measured files.
"""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from infra.bake import Options, bake
from infra.bake.reuse import bundle_for
from infra.common.files import atomic_write
from infra.local.images import samples
from tests.bench.setting import FOLDER, SHARED, STANDIN_MAKER
from tests.support.bundles import write_tiny_bundle
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.onnx_models import SIZE, flat, save

PHOTOS = SHARED / "data" / "caltech101-15"

# The S2-shaped model, and the model that has its architecture and cost.
STANDIN, STANDIN_OF = "s2-shaped", "mobileclip-s2"
TEXT_STANDIN = "s2-text-shaped"

_FOLDER = FOLDER / "models"
_MANIFEST = f"""\
# Written by the benchmarks: the architecture of MobileCLIP-S2's image tower, with random weights.
name = "{STANDIN}"
embedding_dim = 512

[source]
kind = "file"

[image]
input = "pixel_values"
output = "image_embeds"
file = {{ path = "model.onnx" }}

[licence]
spdx = "CC0-1.0"
text = "LICENCE.txt"

[preprocess]
input_size = 256
resize_mode = "shortest_side"
interpolation = "bilinear"
crop = "center"
channel_order = "rgb"
divisor = 255
mean = [0, 0, 0]
std = [1, 1, 1]
"""

_TEXT = """\

[text]
file = { path = "text.onnx" }
tokenizer = { path = "tokenizer.json" }
input = "input_ids"
output = "text_embeds"
context_length = 77
pad_id = 0
"""

MEDIUM, LARGE = (2000, 1500), (4000, 3000)
# Megapixels to (width, height).
SIZES = {0.3: (640, 480), 1: (1200, 900), 3: MEDIUM, 6: (2880, 2160), 12: LARGE, 24: (5660, 4240)}
QUALITY_PICTURES = 16


def bake_standin(maker: Path = STANDIN_MAKER) -> Path:
    """Bake the S2-shaped model; its weights are made once."""
    source = _FOLDER / "source"
    _make_graph(maker, source / "model.onnx")
    return _bake(source, STANDIN, _MANIFEST)


def bake_text_standin(maker: Path) -> Path:
    """Bake the S2-shaped text tower, beside a tiny image tower; its weights are made once."""
    source = _FOLDER / "text-source"
    _make_graph(maker, source / "text.onnx")
    write_tokenizer(source / "tokenizer.json")
    save(flat(512), source / "model.onnx")
    manifest = _MANIFEST.replace(STANDIN, TEXT_STANDIN).replace("input_size = 256", f"input_size = {SIZE}")
    return _bake(source, TEXT_STANDIN, manifest + _TEXT)


def _make_graph(maker: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, str(maker), str(part)], check=True, stdout=subprocess.DEVNULL)
        part.rename(path)


def _bake(source: Path, name: str, manifest: str) -> Path:
    (source / "LICENCE.txt").write_text("Random numbers in the public domain.\n", "utf-8")
    (source / f"{name}.toml").write_text(manifest, "utf-8")
    # Baked every time, because the code of the bake may have changed.
    return bake(str(source / f"{name}.toml"), _FOLDER / name, Options(progress=False))


def make_pictures(folder: Path) -> Path:
    """Make every picture that does not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = photo_files()
    wanted = {f"size-{megapixels}.jpg": size for megapixels, size in SIZES.items()}
    for number, (name, size) in enumerate(wanted.items()):
        _write(folder / name, enlarged(photos[number % len(photos)], size, seed=number))
    for number in range(QUALITY_PICTURES):
        make = collage if number % 2 else _one_enlarged
        path = folder / f"quality-{number:02}.jpg"
        if not path.is_file():
            _write(path, make(photos, LARGE, number))
    for number, side in enumerate((64, 80, 96, 120, 160, 200, 240, 320)):
        _write(folder / f"small-{number}.jpg", enlarged(photos[number % len(photos)], (side, side * 3 // 4), number))
    return folder


def photo_files() -> list[Path]:
    """Photos to enlarge: a varied collection if it exists, else the samples of the demo."""
    found = sorted(PHOTOS.rglob("*.jpg"))[:: 23 if PHOTOS.is_dir() else 1]
    return found or [upload.path for upload in samples()]


def enlarged(photo: Path, size: tuple[int, int], seed: int) -> Image.Image:
    """An enlarged photo with noise like a camera sensor's, so that it decodes as slowly as a camera's photo."""
    with Image.open(photo) as opened:
        picture = opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 6, (size[1], size[0], 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _one_enlarged(photos: Sequence[Path], size: tuple[int, int], seed: int) -> Image.Image:
    return enlarged(photos[seed * 7 % len(photos)], size, seed)


def collage(photos: Sequence[Path], size: tuple[int, int], seed: int) -> Image.Image:
    """Photos side by side at their own scale, so that there is real detail in every pixel."""
    picture = Image.new("RGB", size)
    left = top = row = 0
    number = seed * 31
    while top < size[1]:
        with Image.open(photos[number % len(photos)]) as opened:
            tile = opened.convert("RGB")
        picture.paste(tile, (left, top))
        left, row, number = left + tile.width, max(row, tile.height), number + 1
        if left >= size[0]:
            left, top, row = 0, top + row, 0
    return picture


def _write(path: Path, picture: Image.Image) -> None:
    if path.is_file():
        return
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def make_tiny(folder: Path) -> Path:
    """Write the tiny bundle of the tests."""
    shutil.rmtree(folder, ignore_errors=True)
    return write_tiny_bundle(folder)


def main() -> None:
    """Run the program; see the module's docstring."""
    what, argument = sys.argv[1:3]
    makers: dict[str, Callable[[], Path]] = {
        "model": lambda: bundle_for(argument),
        "standin": lambda: bake_standin(Path(argument)),
        "text": lambda: bake_text_standin(Path(argument)),
        "tiny": lambda: make_tiny(Path(argument)),
        "pictures": lambda: make_pictures(Path(argument)),
    }
    made = makers[what]()
    sys.stdout.write(f"\n{made}\n")


if __name__ == "__main__":
    main()
