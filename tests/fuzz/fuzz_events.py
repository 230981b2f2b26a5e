"""Coverage-guided fuzzing of the event reader: any JSON is work, a direct request or an error inside a message.

python -m tests.fuzz.fuzz_events [-max_total_time=SECONDS] [any option of libFuzzer]
"""

import json
import sys
from pathlib import Path
from typing import Any

import atheris
import numpy as np

from tests.fuzz.setup import kept, prepare

with atheris.instrument_imports(include=["handler"]):
    from handler.errors import UnknownEventError
    from handler.triggers.events import Direct, Work, read_event

EVENTS = Path(__file__).parents[2] / "events"
SCALARS: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "a", "%", "%ff", "a+b", "\ud800", "é" * 400, [], {}, [[]]]


def test_one_input(data: bytes) -> None:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return
    found = read_event(event)
    if isinstance(found, Direct):
        return
    assert isinstance(found, Work)
    for message in found.messages:
        assert message.error is None or isinstance(message.error, UnknownEventError)
        for job in message.jobs:
            assert job.bucket
            assert job.key
            assert isinstance(job.bucket + job.key + (job.sequencer or ""), str)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change one value of the JSON; now and then a byte, as libFuzzer does."""
    dice = np.random.default_rng(seed)
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = json.loads(b"{}")
    if dice.random() < 0.2:
        return bytes(atheris.Mutate(data, max_size))
    changed = json.dumps(_changed(event, dice)).encode()
    return changed if len(changed) <= max_size else data


def _changed(value: Any, dice: np.random.Generator) -> Any:
    """Walk down to somewhere, and put something else there."""
    if isinstance(value, str) and value[:1] in {"{", "["} and dice.random() < 0.8:
        try:
            return json.dumps(_changed(json.loads(value), dice))
        except ValueError:
            return value
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = str(dice.choice(sorted(value)))
        if dice.random() < 0.1:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: _changed(value[name], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = int(dice.integers(len(value)))
        return [*value[:at], _changed(value[at], dice), *value[at + int(dice.integers(2)) :]]
    return _replacement(value, dice)


def _replacement(value: Any, dice: np.random.Generator) -> Any:
    wrapped: list[Any] = [
        json.dumps(value),
        [value],
        [value] * 3,
        {"Records": [value]},
        {"Message": json.dumps(value)},
        {"Sns": {"Message": json.dumps(value)}},
        {"eventSource": "aws:sqs", "body": json.dumps(value)},
        {"s3": value, "eventSource": "aws:s3", "eventVersion": "2.1"},
    ]
    return (wrapped + SCALARS)[int(dice.integers(len(wrapped) + len(SCALARS)))]


def write_seeds(folder: Path) -> None:
    for event in sorted(EVENTS.glob("*.json")):
        (folder / event.name).write_bytes(event.read_bytes())


if __name__ == "__main__":
    options = ["-timeout=5", "-max_len=20000"]
    arguments = prepare("events", write_seeds, [*options, *sys.argv[1:]])
    atheris.Setup(arguments, kept("events", test_one_input), custom_mutator=mutate)
    atheris.Fuzz()
