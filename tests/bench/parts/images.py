"""Measure the resources of images by size, which `python -m infra cost` multiplies by prices."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from handler.model.spec import load_spec
from infra.operate.measured import ImageFigures
from tests.bench.figures import Findings, Grid
from tests.bench.parts.bill import BATCHED, Taken, taken, use_of, with_dropvec
from tests.bench.parts.sizes import MEGAPIXELS
from tests.bench.setting import Setting
from tests.bench.sources import STANDIN, STANDIN_OF
from tests.bench.world import World


def measure(setting: Setting, world: World) -> Findings:
    """Measure batches of ten messages with latency; the fastest round counts."""
    images: list[ImageFigures] = []
    rounds = max(3, setting.runs // 5)
    for megapixels in MEGAPIXELS:
        data = setting.picture(f"size-{megapixels}.jpg").read_bytes()
        found = min((taken(world, data, 1, with_dropvec) for _ in range(rounds)), key=lambda one: one.wall)
        use = use_of(found, **BATCHED)
        images.append(ImageFigures(megapixels, len(data), 1000 * use.cpu_seconds, 1000 * use.wait_seconds))
    raw: dict[str, Any] = {
        "model": _name(setting),
        "images": [asdict(image) for image in images],
        "units": dict(use.units),
        "item_bytes": _each(found, "item_bytes"),
        "result_bytes": round(found.each(frozenset({"PutObject"}), "sent")),
    }
    rows = [[f"{image.megapixels:g} MP", f"{image.cpu_ms:.0f}", f"{image.wait_ms:.0f}"] for image in images]
    return Findings(grids=[Grid("what one image takes, ms", ["", "processor", "waiting"], rows)], raw=raw)


def _each(found: Taken, what: str) -> int:
    return round(found.each(frozenset(found.counts), what))


def _name(setting: Setting) -> str:
    name = load_spec(Path(setting.bundle)).name
    return STANDIN_OF if name == STANDIN else name
