"""A backfill as it sends: what, how fast, how far ahead, and where it goes on."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.jobs import Job
from handler.triggers.events import Trigger, Work, read_event
from infra.common.errors import OperatorError
from infra.operate.account import Account
from infra.operate.backfill.choice import Wanted
from infra.operate.backfill.feed import Feed, Pacer, Room, message_of
from infra.operate.backfill.objects import SLICE, Listing
from infra.operate.backfill.run import Options
from infra.operate.backfill.run import Work as Backfill
from infra.operate.backfill.state import State, StateFile
from tests.operate.conftest import BUCKET, put_item, received

OURS = "a" * 64


def jobs_of(body: str) -> tuple[Job, ...]:
    work = read_event({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body}]})
    assert isinstance(work, Work)
    assert work.trigger is Trigger.SQS
    (message,) = work.messages
    assert message.error is None
    return message.jobs


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_message_is_read_by_the_function_as_its_object_without_a_sequencer(key: str) -> None:
    body = message_of("bucket", key)
    assert body.isascii()
    assert jobs_of(body) == (Job("bucket", key, None),)


@dataclass
class Clock:
    """A time that passes only when somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def test_no_more_than_the_rate_goes_out() -> None:
    clock = Clock()
    pacer = Pacer(20.0, clock.read, clock.sleep)
    for _ in range(100):
        pacer.take(10)
    assert clock.now == pytest.approx((100 - 1) * 10 / 20)


def test_time_that_others_take_is_not_waited_for_again() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock.read, clock.sleep)
    for _ in range(5):
        pacer.take(10)
        clock.now += 3.0  # slower than the rate by itself
    assert clock.slept == []


def not_told(depth: int) -> None:
    pytest.fail(f"warned of {depth} messages")


def test_the_queue_is_kept_short() -> None:
    depths = iter([990, 995, 980, 0])
    waits: list[float] = []
    room = Room(1000, lambda: next(depths), not_told, waits.append)
    room.take(10)
    assert waits == []
    room.take(10)  # 995 of 1000: too many, then 980
    assert len(waits) == 1
    room.take(10)
    room.take(10)  # an empty queue


def test_without_a_limit_nobody_asks_how_long_the_queue_is() -> None:
    Room(None, lambda: pytest.fail("asked"), not_told).take(10)


def test_a_queue_that_nobody_reads_is_told_once() -> None:
    depths = iter([1000] * 400 + [0])
    told: list[int] = []
    Room(1000, lambda: next(depths), told.append, lambda _: None).take(10)
    assert told == [1000]


def test_a_queue_that_is_read_slowly_is_waited_for_in_silence() -> None:
    depths = iter([*range(2000, 1000, -1), 0])
    Room(1000, lambda: next(depths), not_told, lambda _: None).take(10)


def fill(account: Account, count: int) -> list[str]:
    keys = [f"{number:04} +ü.png" for number in range(count)]
    for key in keys:
        account.s3.put_object(Bucket=BUCKET, Key=key, Body=b"123")
    return keys


def backfill(account: Account, wanted: Wanted | None = None, **options: Any) -> Backfill:
    return Backfill(
        account, Listing(account.s3, BUCKET, ""), wanted or Wanted(OURS), Options(f"s3://{BUCKET}", **options)
    )


def sent_keys(account: Account) -> Counter[str]:
    return Counter(job.key for body in received(account) for job in jobs_of(body))


def test_every_object_without_a_result_is_sent_once(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    keys = fill(account, 230)
    etag = account.s3.head_object(Bucket=BUCKET, Key=keys[0])["ETag"].strip('"')
    for key in keys[:50]:
        put_item(account, f"s3://{BUCKET}/{key}", status="success", etag=etag, fingerprint=OURS)
    account.s3.put_object(Bucket=BUCKET, Key="folder/", Body=b"")
    backfill(account).run()
    assert sent_keys(account) == Counter(keys[50:])
    assert "231 objects: 180 sent, 50 done already, 1 folder markers" in capsys.readouterr().out


class BreaksError(Exception):
    """As sudden as a kill, for a test in one process."""


@dataclass
class Breaking:
    """An SQS that works for so many calls, and then no more."""

    sqs: Any
    calls: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sqs, name)

    def send_message_batch(self, **request: Any) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise BreaksError
        return self.sqs.send_message_batch(**request)


@pytest.mark.parametrize("calls", [0, 9, 11, 25])
def test_a_broken_run_goes_on_where_it_was(account: Account, calls: int) -> None:
    keys = fill(account, 330)
    real = account.sqs
    account.__dict__["sqs"] = Breaking(real, calls)  # where the cached client lies
    with pytest.raises(BreaksError):
        backfill(account).run()
    account.__dict__["sqs"] = real
    first = sent_keys(account)
    backfill(account).run()
    second = sent_keys(account) - first
    assert set(first) | set(second) == set(keys)
    twice = first & second
    assert sum(twice.values()) <= SLICE
    whole = calls // (SLICE // 10) * SLICE  # slices that were through
    assert not set(keys[:whole]) & set(second)


def test_a_run_that_is_through_is_forgotten(account: Account) -> None:
    keys = fill(account, 5)
    for _ in range(2):  # nothing embeds them
        backfill(account).run()
    assert sent_keys(account) == Counter(keys * 2)


def test_the_same_backfill_does_not_run_twice_at_a_time(account: Account) -> None:
    fill(account, 5)
    work = backfill(account)
    with StateFile.of(work.task()).alone(), pytest.raises(OperatorError, match="is running already"):
        work.run()
    assert sent_keys(account) == Counter()


def test_another_model_is_another_backfill(account: Account) -> None:
    tasks = [backfill(account, Wanted(name)).task() for name in ("a", "b")]
    assert StateFile.of(tasks[0]).path != StateFile.of(tasks[1]).path


def test_a_state_comes_back_as_it_was_saved(account: Account) -> None:
    file = StateFile.of({})
    with file.alone():
        for place in ("a key", (3, 17), None):
            state = State(place, Counter(sent=3), 99, 1000)
            file.save(state)
            assert file.load() == state
        file.path.write_bytes(b"{half")
        assert file.load() == State()
    assert [path.name for path in file.path.parent.glob("*.part")] == []


def test_a_restart_begins_at_the_beginning(account: Account) -> None:
    keys = fill(account, 3)
    work = backfill(account, restart=True)
    file = StateFile.of(work.task())
    file.path.parent.mkdir(parents=True)
    file.save(State(keys[1], Counter(sent=2), 6, 3))
    work.run()
    assert sent_keys(account) == Counter(keys)


@dataclass
class Refusing:
    """An SQS that takes only some of a batch at first."""

    sqs: Any
    fault: bool
    refusals: int = 2

    def send_message_batch(self, **request: Any) -> Any:
        if self.refusals == 0:
            return self.sqs.send_message_batch(**request)
        self.refusals -= 1
        *taken, last = request["Entries"]
        failed = {"Id": last["Id"], "SenderFault": self.fault, "Code": "InternalError", "Message": "not now"}
        answer = self.sqs.send_message_batch(QueueUrl=request["QueueUrl"], Entries=taken) if taken else {}
        return {**answer, "Failed": [failed]}


def send(account: Account, keys: Sequence[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        Feed(account, BUCKET, Room(None, int, int), Pacer(None), pool).send(keys)


def test_what_the_queue_does_not_take_is_sent_again_alone(account: Account) -> None:
    real = account.sqs
    account.__dict__["sqs"] = Refusing(real, fault=False)
    keys = [f"{number}.png" for number in range(10)]
    send(account, keys)
    account.__dict__["sqs"] = real
    assert sent_keys(account) == Counter(keys)


def test_what_the_queue_refuses_for_good_is_told(account: Account) -> None:
    account.__dict__["sqs"] = Refusing(account.sqs, fault=True)
    with pytest.raises(OperatorError, match="the queue refuses a message: InternalError: not now"):
        send(account, ["a.png"])


def test_the_results_bucket_is_not_embedded(account: Account) -> None:
    from infra.operate.backfill.run import _source

    with pytest.raises(OperatorError, match="json holds the results"):
        _source(account, Options("s3://json/a"))


def test_progress_tells_the_rate_and_the_total(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    fill(account, 12)
    backfill(account).run()
    assert "backfill: 12 of 12, 12 to embed" in capsys.readouterr().err
