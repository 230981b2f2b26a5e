"""What an image and a cold start may cost, counted in calls, bytes and modules instead of time."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from handler.model.encoder import load_encoder, thread_count
from handler.outcomes import Status
from handler.results.record import ImageEmbedding, Record, item_of
from handler.settings import EmbeddingDtype
from infra.bake.reuse import bundle_for
from tests.support.pictures import encoded, picture
from tests.unit.conftest import World
from tests.unit.test_concurrency import observed_pipeline

PHOTO = encoded(picture(64, 48))


@pytest.fixture
def calls(world: World) -> Counter[str]:
    """Counts the function's calls to AWS."""
    seen: Counter[str] = Counter()
    world.pipeline = observed_pipeline(world, lambda name, _: seen.update([name]))
    return seen


def test_a_new_image_costs_one_get_one_put_and_one_conditional_write(world: World, calls: Counter[str]) -> None:
    world.put("a.png", PHOTO)
    calls.clear()
    assert world.process("a.png").status is Status.SUCCESS
    assert calls == {"get_object": 1, "put_object": 1, "put_item": 1}


def test_a_rejected_file_costs_no_more(world: World, calls: Counter[str]) -> None:
    world.put("a.png", b"no picture")
    calls.clear()
    assert world.process("a.png").status is Status.REJECTED
    assert calls == {"get_object": 1, "put_object": 1, "put_item": 1}


def test_a_stale_event_costs_one_more_get_of_the_json(world: World, calls: Counter[str]) -> None:
    world.put("a.png", PHOTO)
    world.process("a.png", "02")
    calls.clear()
    assert world.process("a.png", "01").status is Status.SUPERSEDED
    assert calls == {"get_object": 2, "put_object": 1, "put_item": 1}


@pytest.mark.parametrize(("dtype", "units"), [("float32", 3), ("float16", 2)])
def test_an_item_of_512_numbers_takes_few_write_units(dtype: EmbeddingDtype, units: int) -> None:
    vector = np.linspace(-1, 1, 512, dtype=np.float32)
    found = ImageEmbedding(vector, normalized=True, width=4000, height=3000, format="jpeg")
    record = Record(
        bucket="shop-uploads-123456789012-eu-central-1",
        key="catalogue/2026/spring/red-shoe-0001.jpg",
        etag="e" * 32,
        version_id="v" * 32,
        size=4_200_000,
        model="mobileclip-s2",
        fingerprint="f" * 64,
        outcome=found,
        timings_ms={},
    )
    item = item_of(record, "0" * 32, "s3://results/" + "x" * 150, dtype, datetime.now(UTC))
    assert -(-sum(size_of(name, value) for name, value in item.items()) // 1024) == units


def size_of(name: str, value: Any) -> int:
    """Size of an attribute in bytes, as DynamoDB counts it; an upper bound for numbers.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    (content,) = value.values()
    return len(name) + (1 if isinstance(content, bool) else len(content))


def test_weights_are_memory_mapped() -> None:
    bundle = bundle_for("efficientnet-lite0")
    code = (
        "import pathlib, resource, sys\n"
        "import onnxruntime, handler.model.encoder as model\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"encoder = model.load_encoder(pathlib.Path({str(bundle)!r}))\n"
        "more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "maps = pathlib.Path('/proc/self/maps').read_text()\n"
        "print(encoder.graph, f'{encoder.graph}.weights' in maps, more)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    graph, mapped, kibibytes = done.stdout.split()
    assert (graph.startswith("blocks-"), mapped) == (True, "True")
    assert int(kibibytes) < 6_000, "of 13 MB of weights"


def test_a_session_has_a_thread_for_each_processor_without_spinning() -> None:
    options = load_encoder(bundle_for("efficientnet-lite0")).session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (thread_count(), 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_nothing_is_loaded_again_for_a_second_image(world: World) -> None:
    world.put("a.png", PHOTO)
    world.put("b.png", PHOTO)
    world.process("a.png")
    before = set(sys.modules)
    session = world.pipeline.encoder.session
    world.process("b.png")
    assert set(sys.modules) == before
    assert world.pipeline.encoder.session is session
