"""Measure the memory of one runtime over many thousands of images."""

import resource
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.bench.figures import Figure, Findings, Series
from tests.bench.setting import Setting
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import captured
from tests.bench.world import World, sqs_event, upload

MESSAGES, SAMPLE_EVERY = 10, 20
# Before this many images, caches are still filling up.
SETTLED = 500


def measure(setting: Setting, world: World) -> Findings:
    """Process small pictures of several sizes in batches, and sample the memory."""
    images = setting.images
    pictures = [path.read_bytes() for path in sorted(Path(setting.pictures).glob("small-*.jpg"))]
    keys = [key for data in pictures for key in upload(world.sink, data, MESSAGES)]
    at, held = [], []
    failed = 0
    batches = images // MESSAGES
    for number in track(range(1, batches + 1), "images in tens", console=Console(stderr=True), transient=True):
        first = number * 7 % len(keys)
        event = sqs_event([keys[(first + place) % len(keys)] for place in range(MESSAGES)])
        with captured():
            answer = dropvec.handler(event)
        failed += len((answer or {}).get("batchItemFailures", []))
        if number % SAMPLE_EVERY == 0:
            at.append(float(number * MESSAGES))
            held.append(resident_mib())
    if failed:
        raise AssertionError(f"{failed} of the pictures failed")
    settled = next(value for place, value in zip(at, held, strict=True) if place >= min(SETTLED, at[-1]))
    grown = held[-1] - settled
    name = "growth of memory over 20,000 images"
    note = f"{images:,} images, from {SETTLED} on; resident {settled:.0f} to {held[-1]:.0f} MiB; a tiny model"
    figure = Figure(name if images == 20_000 else f"growth over {images:,} images", "MiB", None, grown, note=note)
    return Findings([figure], [Series("memory of one runtime", "images", "MiB", at, {"dropvec": held})])


def resident_mib() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / (1 << 20)
