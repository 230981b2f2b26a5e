"""Coverage-guided fuzzing of the decoder: any bytes are a picture or a known code, in under 5 s and 1 GiB.

python -m tests.fuzz.fuzz_decode [-max_total_time=SECONDS] [any option of libFuzzer]
"""

import importlib
import resource
import sys
from pathlib import Path

import atheris

from tests.fuzz.setup import kept, prepare

with atheris.instrument_imports(include=["handler", "PIL", "pillow_heif"]):
    for plugin in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP"):
        importlib.import_module(f"PIL.{plugin}ImagePlugin")
    importlib.import_module("pillow_heif")
    for module in ("bmp", "gif", "heif", "jpeg", "lab", "libtiff", "png", "tiff", "tiff_samples", "tiff_tags", "webp"):
        importlib.import_module(f"handler.images.{module}")
    from handler.errors import RejectedError, Rejection
    from handler.images.decode import decode

from tests.support.corpus_run import forget_peak

MAX_PIXELS = 2_000_000
ENOUGH = 256  # small enough for the seeds' pictures to be reduced
CODES = {Rejection.UNSUPPORTED_FORMAT, Rejection.CORRUPT_IMAGE, Rejection.TOO_MANY_PIXELS}
MOST_SEED_BYTES = 20_000
# In the measure of 1 GiB for 100 million, and what a library takes when it is first used.
MOST_KILOBYTES = 100 << 10


def test_one_input(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _decode(data)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more < MOST_KILOBYTES, f"{more} KiB for {MAX_PIXELS} pixels"


def _decode(data: bytes) -> None:
    try:
        picture = decode(data, MAX_PIXELS, ENOUGH)
    except RejectedError as error:
        assert error.code in CODES, error.code
        assert "\n" not in str(error)
    else:
        assert picture.image.mode == "RGB"
        assert 0 < picture.image.width * picture.image.height <= MAX_PIXELS


def write_seeds(folder: Path) -> None:
    from tests.formats.matrix import cases
    from tests.support.corpus import corpus

    smallest: dict[str, bytes] = {}
    for case in cases():
        smallest[case.kind] = min(smallest.get(case.kind, case.data), case.data, key=len)
    for number, data in enumerate(smallest.values()):
        if len(data) <= 2 * MOST_SEED_BYTES:
            (folder / f"kind-{number:03}").write_bytes(data)
    for number, sample in enumerate(corpus()):
        if "limit" not in sample.name and len(data := sample.make()) <= MOST_SEED_BYTES:
            (folder / f"{number:04}").write_bytes(data)


if __name__ == "__main__":
    options = ["-timeout=5", "-rss_limit_mb=1024", f"-max_len={2 * MOST_SEED_BYTES}"]
    arguments = prepare("decode", write_seeds, [*options, *sys.argv[1:]])
    forget_peak()  # to write the seeds takes more than a decoder may
    atheris.Setup(arguments, kept("decode", test_one_input))
    atheris.Fuzz()
