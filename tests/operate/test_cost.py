"""Dollars and capacity: figures times prices, and the paper against a play of the queue."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.common.errors import OperatorError
from infra.operate.backfill.estimate import backfill_dollars
from infra.operate.backfill.state import State
from infra.operate.capacity import (
    IN_FLIGHT,
    MOST_CONCURRENCY,
    NEW_TABLE_WRITES,
    PREFIX_PUTS,
    TABLE_WRITES,
    Plan,
    ceilings,
    drain_seconds,
    waiting_seconds,
)
from infra.operate.cost import Wish, cost, plan_of
from infra.operate.measured import FILE, Image, load, to_toml
from infra.operate.prices import bill
from infra.operate.simulation import drain, mean_wait, wait_behind
from tests.bench.__main__ import with_images

PLAN = Plan(concurrency=10, batch=10, seconds=0.3, batch_seconds=0.05, write_units=3)

LARGE = replace(PLAN, concurrency=1000)
TABLE_BOUND = replace(LARGE, seconds=0.02)


@pytest.mark.parametrize(
    ("plan", "images"),
    [
        (PLAN, 10_000),  # one minute's growth is enough
        (replace(PLAN, batch=1), 2_000),
        (replace(PLAN, concurrency=200), 100_000),
        (LARGE, 300_000),  # still growing when it ends
        (TABLE_BOUND, 400_000),  # the new table is what it waits for
        (replace(TABLE_BOUND, new_table=False, write_units=1), 400_000),  # the results' prefix
    ],
)
def test_a_backlog_takes_as_long_as_the_paper_says(plan: Plan, images: int) -> None:
    assert drain(plan, images, Random(7)).seconds == pytest.approx(drain_seconds(plan, images), rel=0.03)


def test_a_table_that_grows_is_waited_for_as_the_paper_says() -> None:
    plan = replace(TABLE_BOUND, write_units=40)  # so that the play is short: 100 images a second, then 200, …
    images = 100 * 1800 + 200 * 900
    assert drain_seconds(plan, images) == pytest.approx(2700)
    assert drain(plan, images, Random(7)).seconds == pytest.approx(2700, rel=0.02)


def test_no_more_is_in_flight_than_invocations_hold() -> None:
    played = drain(LARGE, 200_000, Random(7))
    assert played.in_flight <= LARGE.in_flight <= IN_FLIGHT
    assert played.invocations == 20_000
    assert replace(PLAN, concurrency=MOST_CONCURRENCY).in_flight < IN_FLIGHT


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_uploads_wait_as_long_as_erlang_says(load: float) -> None:
    plan = replace(PLAN, batch=1)
    rate = load * plan.concurrency / (plan.seconds + plan.batch_seconds)
    played = sum(mean_wait(plan, rate, 200_000, Random(seed)) for seed in range(2)) / 2
    assert played == pytest.approx(waiting_seconds(plan, rate), rel=0.06)


def test_more_uploads_than_can_be_done_wait_for_ever() -> None:
    assert waiting_seconds(PLAN, 1000) == math.inf


@pytest.mark.parametrize("ahead", [1000, 5000])
def test_an_upload_waits_behind_what_a_backfill_keeps_in_the_queue(ahead: int) -> None:
    assert wait_behind(PLAN, ahead, 20_000, Random(7)) == pytest.approx(ahead / PLAN.compute_rate(10), rel=0.03)


def test_what_is_lowest_comes_first() -> None:
    found = ceilings(LARGE)
    rates = [ceiling.rate for ceiling in found]
    assert rates == sorted(rates)
    by_part = {ceiling.part: ceiling.rate for ceiling in found}
    assert by_part["DynamoDB, a new table"] == NEW_TABLE_WRITES / 3
    assert by_part["DynamoDB, a grown table"] == TABLE_WRITES / 3
    assert by_part["S3, JSON of one prefix"] == PREFIX_PUTS
    assert by_part["Lambda, 1000 at once"] == pytest.approx(1000 * 10 / 3.05)


def test_twice_the_images_take_twice_the_time_once_all_has_grown() -> None:
    day, days = (drain_seconds(LARGE, images) for images in (10**9, 2 * 10**9))
    assert days / day == pytest.approx(2, rel=0.01)


def test_the_figures_are_read_and_every_image_has_its_price() -> None:
    for figures in load().values():
        assert figures.images == tuple(sorted(figures.images, key=lambda image: image.bytes))
        assert plan_of(figures, 10).seconds > 0
        assert figures.nearest(0) == figures.images[0]
        assert figures.nearest(1e12) == figures.images[-1]


def test_figures_come_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "measured.toml").write_text(to_toml(load()), encoding="utf-8")
    assert load(tmp_path / "measured.toml") == load()


def test_the_benchmarks_put_a_model_in_place_of_its_old_figures() -> None:
    measured = load()
    name, *others = measured
    image: dict[str, Any] = {"megapixels": 1.0, "bytes": 1000, "cpu_ms": 5.0, "wait_ms": 1.0}
    raw = {"model": name, "images": [image], "units": {"s3_get": 1.0}, "item_bytes": 1, "result_bytes": 2}
    machine = {"date": "2027-01-02 03:04 UTC", "processor": "A CPU, 2 of them here", "flags": "avx2"}
    changed = with_images({"parts": {"images": {"raw": raw}}, "machine": machine, "model": "another"})
    assert list(changed) == [name, *others]
    assert (changed[name].date, changed[name].images) == ("2027-01-02", (Image(**image),))
    assert "the same but for its weights" in changed[name].source
    assert all(changed[other] == measured[other] for other in others)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("s3_get", "s4_get", "nothing has the price s4_get"),
        ("megapixels", "pixels", "KeyError"),
        ('date = "', "date = ", "TOMLDecodeError"),
    ],
)
def test_figures_that_cannot_be_read_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "measured.toml"
    path.write_text(FILE.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(OperatorError, match=said):
        load(path)


def test_a_backfill_costs_its_images_and_its_look_ups() -> None:
    (figures, *_) = load().values()
    image = figures.images[-1]
    nothing = State(counts=Counter({"done already": 1_000_000}))
    looked = 1000 * 0.005 / 1000 + 1_000_000 * 0.5 * 0.125e-6  # lists, and half a read unit each
    assert backfill_dollars(figures, 1769, nothing) == pytest.approx(looked, rel=1e-9)
    all_of_it = State(counts=Counter(sent=1_000_000), sent_bytes=1_000_000 * image.bytes)
    embedded = sum(bill(figures.use(image), 1769).values())
    assert backfill_dollars(figures, 1769, all_of_it) == pytest.approx(embedded + looked, rel=1e-9)


def test_the_command_prints_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    cost(Wish(memory_mib=(1769,), concurrency=(20,)))
    said = capsys.readouterr().out
    for part in ("Dollars for a million images", "1769 MB", "1,000,000,000", "20 at once", "played through"):
        assert part in said


@pytest.mark.parametrize("wish", [Wish(memory_mib=(64,)), Wish(concurrency=(1001,)), Wish(model="none")])
def test_what_aws_does_not_take_is_refused(wish: Wish) -> None:
    with pytest.raises(OperatorError):
        cost(wish)
