"""Measure a warm invocation: its stages, and its processor time without decoding and inference."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from handler.model.spec import ModelSpec
from tests.bench.figures import Figure, Findings, Grid
from tests.bench.naive import app as naive
from tests.bench.setting import Setting, large_picture, medium_picture
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import TimedSession, captured
from tests.bench.world import World, s3_event, sqs_event, upload


def measure(setting: Setting, world: World) -> Findings:
    """Measure both with the local AWS without latency."""
    return Findings([_overhead(setting, world)], grids=[_stages(setting, world)])


def _overhead(setting: Setting, world: World) -> Figure:
    """Processor time of the invocation, minus that of inference and decoding.

    The picture is small, so that little is subtracted. Waiting for the network takes no processor time; the AWS client
    does, and counts.
    """
    data = setting.picture("small-0.jpg").read_bytes()
    pipeline = dropvec.pipeline()
    ours, theirs = TimedSession(pipeline.encoder.session), TimedSession(naive.session)
    timed = replace(pipeline, encoder=replace(pipeline.encoder, session=ours))
    spec, naive.session = pipeline.encoder.spec, theirs
    took: dict[str, list[float]] = {"naive": [], "ours": []}
    try:
        for number in range(4 * setting.runs + 2):
            event = sqs_event(upload(world.direct, data))
            naive_ms = _rest(partial(naive.handler, event, None), theirs, _naive_decode(data))
            event = sqs_event(upload(world.direct, data))
            ours_ms = _rest(partial(dropvec.serve, event, None, timed), ours, _our_decode(data, spec))
            if number >= 2:
                took["naive"].append(naive_ms)
                took["ours"].append(ours_ms)
    finally:
        naive.session = theirs.session
    note = "processor time"
    return Figure(
        "warm invocation, all but decode, inference and network",
        "ms",
        median(took["naive"]),
        median(took["ours"]),
        note=note,
    )


def _rest(invoke: Callable[[], object], session: TimedSession, decode: Callable[[], object]) -> float:
    session.seconds = 0.0
    begun = time.process_time()
    with captured():
        invoke()
    whole = time.process_time() - begun - session.seconds
    begun = time.process_time()
    decode()
    return 1000 * (whole - (time.process_time() - begun))


def _naive_decode(data: bytes) -> Callable[[], object]:
    return lambda: naive.preprocess(naive.load_image(data))


def _our_decode(data: bytes, spec: ModelSpec) -> Callable[[], object]:
    return lambda: dropvec.tensor(data, spec)


def _stages(setting: Setting, world: World) -> Grid:
    rows = []
    for name, path in (("2000 x 1500", medium_picture(setting)), ("4000 x 3000", large_picture(setting))):
        data = path.read_bytes()
        ours, theirs = [], []
        for _ in range(setting.runs):
            theirs.append(_naive_stages(world, data))
            ours.append(_our_stages(world, data))
        rows += [_row(f"naive, {name}", theirs), _row(f"dropvec, {name}", ours)]
    note = "wall clock, local AWS without latency; rest: overlapping stages, and time between stages"
    return Grid("stages of a warm invocation, ms", ["", *_STAGES, "rest", "whole"], rows, note)


_STAGES = ("fetch", "decode", "preprocess", "embed", "write", "commit")


def _row(name: str, found: list[dict[str, float]]) -> list[str]:
    middle = {stage: median(entry.get(stage, 0.0) for entry in found) for stage in (*_STAGES, "whole")}
    rest = middle["whole"] - sum(middle[stage] for stage in _STAGES)
    return [name, *(f"{middle[stage]:.1f}" for stage in _STAGES), f"{rest:.1f}", f"{middle['whole']:.1f}"]


def _our_stages(world: World, data: bytes) -> dict[str, float]:
    event = sqs_event(upload(world.direct, data))
    begun = time.perf_counter()
    with captured() as lines:
        dropvec.handler(event)
    whole = 1000 * (time.perf_counter() - begun)
    (line,) = [json.loads(text) for text in lines if "timings_ms" in text]
    if line["outcome"] != "success":
        raise AssertionError(f"the picture was not embedded: {line}")
    laps: dict[str, float] = line["timings_ms"]
    return {**laps, "whole": whole}


def _naive_stages(world: World, data: bytes) -> dict[str, float]:
    """The steps of `naive.process`, with a timestamp after each."""
    (key,) = upload(world.direct, data)
    event: dict[str, Any] = s3_event(key)
    begun = time.perf_counter()
    (place,) = naive.objects_of(event["Records"][0])
    laps: list[tuple[str, float]] = [("parse", time.perf_counter())]
    body = naive.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    laps.append(("fetch", time.perf_counter()))
    image = naive.load_image(body)
    laps.append(("decode", time.perf_counter()))
    tensor = naive.preprocess(image)
    laps.append(("preprocess", time.perf_counter()))
    vector = naive.run(tensor)
    laps.append(("embed", time.perf_counter()))
    result = naive.result_of(place, image, vector)
    laps.append(("result", time.perf_counter()))
    naive.write_json(place, result)
    laps.append(("write", time.perf_counter()))
    naive.put_item(result)
    laps.append(("commit", time.perf_counter()))
    starts = [begun, *(at for _, at in laps)]
    took = {name: 1000 * (at - before) for (name, at), before in zip(laps, starts, strict=False)}
    return {**took, "whole": 1000 * (starts[-1] - begun)}
