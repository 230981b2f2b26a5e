"""Measure how decoding a JPEG at a reduced scale changes its vector, and how much time it saves.

python -m tests.bench.reduced PHOTOS [--pictures 300] [--model NAME|DIR] [--neighbours]

The pictures have 12 million pixels or more. Half are enlargements of one photo with noise like a sensor's, half are
collages of many photos at their own scale, with real detail in every pixel. PHOTOS is a folder with `labels.csv`. With
`--neighbours` the result is the 1-NN accuracy with full and with reduced decoding, of photos that are enlarged until
they are decoded at half their scale.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from handler.images.decode import decode
from handler.images.preprocess import DETAIL, to_tensor
from handler.model.encoder import Encoder, Vector, load_encoder
from handler.model.self_check import cosine_of
from infra.bake.reuse import bundle_for
from infra.common.errors import OperatorError
from tests.bench.quality import nearest_right, read_labels

SIZES = ((4000, 3000), (4032, 3024), (3000, 4000), (6000, 4000), (4608, 3456), (5472, 3648))
NOISE = (2.0, 8.0)
SUBSAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")


def enlargement(photo: Path, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A photo, enlarged to the size of a camera's, with noise in every pixel."""
    with Image.open(photo) as opened:
        large = np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    noise = rng.standard_normal(large.shape, dtype=np.float32) * rng.uniform(*NOISE)
    return Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8))


def collage(photos: list[Path], size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Photos side by side, each at its own scale."""
    sheet = Image.new("RGB", size)
    left = top = height = 0
    while top < size[1]:
        with Image.open(photos[int(rng.integers(len(photos)))]) as opened:
            sheet.paste(opened.convert("RGB"), (left, top))
            left, height = left + opened.width, max(height, opened.height)
        if left >= size[0]:
            left, top, height = 0, top + height, 0
    return sheet


def pictures(photos: list[Path], count: int) -> Iterator[tuple[str, bytes]]:
    """Kind and JPEG file of each picture."""
    rng = np.random.default_rng(5)
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        kind = ("enlargement", "collage")[number % 2]
        if kind == "collage":
            image = collage(photos, size, rng)
        else:
            image = enlargement(photos[number * len(photos) // count], size, rng)
        buffer = io.BytesIO()
        quality, subsampling = int(rng.integers(75, 97)), SUBSAMPLINGS[number % 3]
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=number % 5 == 0)
        yield kind, buffer.getvalue()


def embed(encoder: Encoder, data: bytes, factor: int | None) -> tuple[Vector, float]:
    """A file's vector, and the milliseconds to its tensor.

    Args:
        encoder: the model.
        data: the file.
        factor: decode to at least this many pixels for each pixel of the input; None for full decoding.
    """
    how = encoder.spec.preprocess
    started = time.perf_counter()
    picture = decode(data, 10**9, None if factor is None else factor * how.resize_size)
    tensor = to_tensor(picture.image, how, (picture.width, picture.height))
    spent = (time.perf_counter() - started) * 1000
    return encoder.embed(tensor), spent


def neighbours(photos: list[Path], classes: list[str], encoder: Encoder) -> tuple[float, float]:
    """1-NN accuracy of enlarged photos, with full decoding and with that of the function."""
    rng = np.random.default_rng(7)
    shortest = 2 * encoder.spec.preprocess.enough + 8
    vectors = np.empty((2, len(photos), encoder.spec.embedding_dim), np.float32)
    for number, photo in enumerate(track(photos, "embedding")):
        with Image.open(photo) as opened:
            scale = shortest / min(opened.size)
            size = round(opened.width * scale), round(opened.height * scale)
        buffer = io.BytesIO()
        enlargement(photo, size, rng).save(buffer, "JPEG", quality=90)
        for way, factor in enumerate((None, DETAIL)):
            vector, _ = embed(encoder, buffer.getvalue(), factor)
            vectors[way, number] = vector / np.linalg.norm(vector)
    return nearest_right(vectors[0], classes), nearest_right(vectors[1], classes)


def main() -> None:
    """Print a row for each kind and factor."""
    parser = argparse.ArgumentParser(description="Vectors of JPEGs decoded at a reduced scale, against full decoding.")
    parser.add_argument("photos", type=Path, help="a folder with labels.csv")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--factors", type=int, nargs="+", default=[6, 5, 4, 3, 2])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--neighbours", action="store_true", help="measure 1-NN accuracy instead")
    parsed = parser.parse_args()
    encoder = load_encoder(bundle_for(parsed.model))
    photos, classes = read_labels(parsed.photos)
    if parsed.neighbours:
        full, reduced = neighbours(photos, classes, encoder)
        Console().print(f"1-NN of {len(photos)} enlarged photos: {full:.4f} decoded in full, {reduced:.4f} reduced")
        return
    cosines: dict[tuple[str, int], list[float]] = {}
    ratios: dict[tuple[str, int], list[float]] = {}
    for kind, data in track(pictures(photos, parsed.pictures), "embedding", total=parsed.pictures):
        right, full = embed(encoder, data, None)
        for factor in parsed.factors:
            vector, spent = embed(encoder, data, factor)
            cosines.setdefault((kind, factor), []).append(cosine_of(vector, right))
            ratios.setdefault((kind, factor), []).append(spent / full)
    table = Table(title=f"{encoder.spec.name}: {parsed.pictures} JPEGs of 12 million pixels and more")
    for column in ("pictures", "pixels for each of the input", "lowest cosine", "median cosine", "time to tensor"):
        table.add_column(column, justify="left" if column == "pictures" else "right")
    for (kind, factor), found in cosines.items():
        ratio = np.median(ratios[kind, factor])
        table.add_row(
            f"{len(found)} {kind}s", f"{factor}", f"{min(found):.6f}", f"{np.median(found):.6f}", f"{ratio:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except OperatorError as error:
        sys.exit(str(error))
