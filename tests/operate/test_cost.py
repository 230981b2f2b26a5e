"""Cost and throughput: figures times prices, and calculated times against a simulation of the queue."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.common.errors import OperatorError
from infra.operate.backfill.estimate import backfill_dollars
from infra.operate.backfill.state import BackfillState
from infra.operate.capacity import (
    IN_FLIGHT,
    MOST_CONCURRENCY,
    NEW_TABLE_WRITES,
    PREFIX_PUTS,
    TABLE_WRITES,
    CapacityModel,
    drain_seconds,
    rate_limits,
    waiting_seconds,
)
from infra.operate.cost import CostQuery, capacity_of, cost
from infra.operate.measured import FILE, ImageFigures, load, to_toml
from infra.operate.prices import PRICES, bill
from infra.operate.search_cost import dimension_of, query_dollars, search_cost, single_put_dollars
from infra.operate.simulation import drain, mean_wait, wait_behind
from tests.bench.__main__ import with_images

SMALL = CapacityModel(concurrency=10, batch=10, seconds=0.3, batch_seconds=0.05, write_units=3)

LARGE = replace(SMALL, concurrency=1000)
TABLE_BOUND = replace(LARGE, seconds=0.02)


@pytest.mark.parametrize(
    ("capacity", "images"),
    [
        (SMALL, 10_000),  # full concurrency within the first minute
        (replace(SMALL, batch=1), 2_000),
        (replace(SMALL, concurrency=200), 100_000),
        (LARGE, 300_000),  # done before full concurrency
        (TABLE_BOUND, 400_000),  # limited by the new table
        (replace(TABLE_BOUND, new_table=False, write_units=1), 400_000),  # limited by the results' S3 prefix
    ],
)
def test_the_simulated_time_of_a_backlog_is_the_calculated_one(capacity: CapacityModel, images: int) -> None:
    assert drain(capacity, images, Random(7)).seconds == pytest.approx(drain_seconds(capacity, images), rel=0.03)


def test_the_growth_of_a_new_table_is_simulated_as_calculated() -> None:
    capacity = replace(TABLE_BOUND, write_units=40)  # a short simulation: 100 images a second, then 200, …
    images = 100 * 1800 + 200 * 900
    assert drain_seconds(capacity, images) == pytest.approx(2700)
    assert drain(capacity, images, Random(7)).seconds == pytest.approx(2700, rel=0.02)


def test_messages_in_flight_stay_within_the_limit_of_sqs() -> None:
    simulated = drain(LARGE, 200_000, Random(7))
    assert simulated.in_flight <= LARGE.in_flight <= IN_FLIGHT
    assert simulated.invocations == 20_000
    assert replace(SMALL, concurrency=MOST_CONCURRENCY).in_flight < IN_FLIGHT


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_the_simulated_waiting_time_is_erlang_s(load: float) -> None:
    capacity = replace(SMALL, batch=1)
    rate = load * capacity.concurrency / (capacity.seconds + capacity.batch_seconds)
    simulated = sum(mean_wait(capacity, rate, 200_000, Random(seed)) for seed in range(2)) / 2
    assert simulated == pytest.approx(waiting_seconds(capacity, rate), rel=0.06)


def test_the_waiting_time_is_infinite_above_the_throughput() -> None:
    assert waiting_seconds(SMALL, 1000) == math.inf


@pytest.mark.parametrize("ahead", [1000, 5000])
def test_an_upload_waits_for_the_messages_ahead_of_it(ahead: int) -> None:
    assert wait_behind(SMALL, ahead, 20_000, Random(7)) == pytest.approx(ahead / SMALL.compute_rate(10), rel=0.03)


def test_the_lowest_limit_comes_first() -> None:
    limits = rate_limits(LARGE)
    rates = [limit.rate for limit in limits]
    assert rates == sorted(rates)
    by_service = {limit.service: limit.rate for limit in limits}
    assert by_service["DynamoDB, new table"] == NEW_TABLE_WRITES / 3
    assert by_service["DynamoDB, grown table"] == TABLE_WRITES / 3
    assert by_service["S3, result JSON under one prefix"] == PREFIX_PUTS
    assert by_service["Lambda, 1000 concurrent invocations"] == pytest.approx(1000 * 10 / 3.05)


def test_the_time_is_proportional_to_a_very_large_backlog() -> None:
    once, twice = (drain_seconds(LARGE, images) for images in (10**9, 2 * 10**9))
    assert twice / once == pytest.approx(2, rel=0.01)


def test_the_shipped_figures_are_complete() -> None:
    for figures in load().values():
        assert figures.images == tuple(sorted(figures.images, key=lambda image: image.bytes))
        assert capacity_of(figures, 10).seconds > 0
        assert figures.nearest(0) == figures.images[0]
        assert figures.nearest(1e12) == figures.images[-1]


def test_figures_are_loaded_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "measured.toml").write_text(to_toml(load()), encoding="utf-8")
    assert load(tmp_path / "measured.toml") == load()


def test_the_benchmark_replaces_the_figures_of_the_measured_model() -> None:
    measured = load()
    name, *others = measured
    image: dict[str, Any] = {"megapixels": 1.0, "bytes": 1000, "cpu_ms": 5.0, "wait_ms": 1.0}
    raw = {"model": name, "images": [image], "units": {"s3_get": 1.0}, "item_bytes": 1, "result_bytes": 2}
    machine = {"date": "2027-01-02 03:04 UTC", "processor": "A CPU, 2 of them here", "flags": "avx2"}
    changed = with_images({"parts": {"images": {"raw": raw}}, "machine": machine, "model": "another"})
    assert list(changed) == [name, *others]
    assert (changed[name].date, changed[name].images) == ("2027-01-02", (ImageFigures(**image),))
    assert "(the same architecture)" in changed[name].source
    assert all(changed[other] == measured[other] for other in others)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("s3_get", "s4_get", "no price for s4_get"),
        ("megapixels", "pixels", "KeyError"),
        ('date = "', "date = ", "TOMLDecodeError"),
    ],
)
def test_a_broken_file_of_figures_is_an_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "measured.toml"
    path.write_text(FILE.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(OperatorError, match=message):
        load(path)


def test_the_cost_of_a_backfill_includes_listing_and_reading_items() -> None:
    (figures, *_) = load().values()
    image = figures.images[-1]
    none_sent = BackfillState(counts=Counter({"already embedded": 1_000_000}))
    reading = 1000 * 0.005 / 1000 + 1_000_000 * 0.5 * 0.125e-6  # list requests, and half a read unit per item
    assert backfill_dollars(figures, 1769, none_sent) == pytest.approx(reading, rel=1e-9)
    all_sent = BackfillState(counts=Counter(sent=1_000_000), sent_bytes=1_000_000 * image.bytes)
    embedding = sum(bill(figures.use(image), 1769).values())
    assert backfill_dollars(figures, 1769, all_sent) == pytest.approx(embedding + reading, rel=1e-9)


def test_the_command_prints_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    cost(CostQuery(memory_mib=(1769,), concurrency=(20,)))
    out = capsys.readouterr().out
    for part in ("Cost of a million images", "1769 MB", "1,000,000,000", "20 concurrent", "simulated"):
        assert part in out


@pytest.mark.parametrize(
    "query", [CostQuery(memory_mib=(64,)), CostQuery(concurrency=(1001,)), CostQuery(model="none")]
)
def test_values_outside_the_limits_are_errors(query: CostQuery) -> None:
    with pytest.raises(OperatorError):
        cost(query)


def test_a_search_costs_what_aws_s_example_says() -> None:
    """10 million vectors of 1,024 dimensions in 40 indexes, a million queries a month: $3.54 + $1.97 + $5.87."""
    stored = 10_000_000 * 6.17 * 1024 / 2**30
    assert stored * PRICES["s3vectors_gb_month"].dollars == pytest.approx(3.54, abs=0.01)
    assert stored / 6 * PRICES["s3vectors_put_gb"].dollars == pytest.approx(1.97, abs=0.01)  # a sixth is replaced
    assert 1_000_000 * query_dollars(5.17 * 1024, 250_000) == pytest.approx(5.87, abs=0.05)


def test_the_cost_of_an_index_grows_with_it() -> None:
    million, billion = (search_cost(512, images) for images in (1_000_000, 1_000_000_000))
    assert million.month == pytest.approx(0.1460, abs=0.001)
    assert billion.month == pytest.approx(1000 * million.month)
    assert million.write == pytest.approx(million.month / 0.06 * 0.20)
    assert million.queries == pytest.approx(0.0073, abs=0.0001)
    assert billion.rebuild_seconds == 400_000
    assert (dimension_of("mobileclip-s2"), dimension_of("efficientnet-lite0")) == (512, 1280)
    with pytest.raises(OperatorError, match="no manifest of the model none"):
        dimension_of("none")
    assert single_put_dollars() == pytest.approx(24.4, abs=0.1)
