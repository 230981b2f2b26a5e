"""Measure a model's accuracy with right and wrong preprocessing: leave-one-out 1-NN on labelled photos.

python -m tests.bench.quality PHOTOS [--model NAME|DIR]

PHOTOS is a folder with `labels.csv`, which has the columns `path` and `class`. A photo is right if its nearest
neighbour by cosine among all others has its class. Wrong preprocessing causes no error, only worse vectors; the table
has a row for each mistake.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from handler.images.decode import decode
from handler.images.preprocess import Preprocess, to_tensor
from handler.model.encoder import Encoder, load_encoder
from infra.bake.reuse import bundle_for
from infra.common.errors import OperatorError

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Vectors = npt.NDArray[np.float32]


def variants(right: Preprocess) -> Iterator[tuple[str, Preprocess]]:
    """The right preprocessing, and common mistakes."""
    other = "bilinear" if right.interpolation == "bicubic" else "bicubic"
    yield "as baked", right
    yield "CLIP statistics", replace(right, divisor=255, mean=CLIP_MEAN, std=CLIP_STD)
    yield "ImageNet statistics", replace(right, divisor=255, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    yield "pixels 0 to 1, no statistics", replace(right, divisor=255, mean=(0, 0, 0), std=(1, 1, 1))
    yield "BGR instead of RGB", replace(right, channel_order="bgr" if right.channel_order == "rgb" else "rgb")
    yield f"{other} instead of {right.interpolation}", replace(right, interpolation=other)
    yield "shortest side 8/7 of the crop", replace(right, resize_size=right.input_size * 8 // 7)


def read_labels(photos: Path) -> tuple[list[Path], list[str]]:
    """Paths and classes of `labels.csv`.

    Raises:
        OperatorError: the file does not exist, or lacks a column.
    """
    try:
        return _read_labels(photos)
    except (OSError, KeyError) as error:
        raise OperatorError(f"{photos} needs a labels.csv with the columns path and class ({error})") from None


def _read_labels(photos: Path) -> tuple[list[Path], list[str]]:
    with (photos / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [photos / row["path"] for row in rows], [row["class"] for row in rows]


def embed(files: Sequence[bytes], encoder: Encoder, ways: Sequence[Preprocess]) -> Vectors:
    """Normalised vectors, float32 (ways, files, embedding_dim)."""
    vectors = np.empty((len(ways), len(files), encoder.spec.embedding_dim), np.float32)
    for number, file in enumerate(track(files, "embedding")):
        picture = decode(file, 10**8).image
        for way, how in enumerate(ways):
            vector = encoder.embed(to_tensor(picture, how))
            vectors[way, number] = vector / np.linalg.norm(vector)
    return vectors


def nearest_right(vectors: Vectors, classes: Sequence[str]) -> float:
    """The share of photos whose nearest neighbour has their class."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    names = np.array(classes)
    return float((names[cosines.argmax(axis=1)] == names).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="1-NN accuracy of a model, right and wrongly preprocessed.")
    parser.add_argument("photos", type=Path, help="a folder with labels.csv")
    parser.add_argument("--model", default="efficientnet-lite0")
    parsed = parser.parse_args()
    encoder = load_encoder(bundle_for(parsed.model))
    paths, classes = read_labels(parsed.photos)
    named = list(variants(encoder.spec.preprocess))
    vectors = embed([path.read_bytes() for path in paths], encoder, [how for _, how in named])
    cosines = np.einsum("wnd,nd->wn", vectors, vectors[0]).mean(axis=1)
    table = Table(title=f"{encoder.spec.name}: leave-one-out 1-NN of {len(paths)} photos")
    for column in ("preprocessing", "1-NN", "cosine to the right vector"):
        table.add_column(column, justify="left" if column == "preprocessing" else "right")
    for (name, _), found, cosine in zip(named, vectors, cosines, strict=True):
        table.add_row(name, f"{nearest_right(found, classes):.4f}", f"{cosine:.4f}")
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except OperatorError as error:
        sys.exit(str(error))
