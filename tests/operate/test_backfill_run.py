"""A backfill run: what it sends, its limits, and how it resumes."""

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
from infra.operate.backfill.feed import QueueLimiter, RateLimiter, Sender, message_of
from infra.operate.backfill.objects import SLICE, Listing
from infra.operate.backfill.run import BackfillOptions, BackfillRun
from infra.operate.backfill.selection import Selection
from infra.operate.backfill.state import BackfillState, StateFile
from infra.operate.stack import DeployedStack
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
def test_the_function_reads_a_message_as_a_job_without_a_sequencer(key: str) -> None:
    body = message_of("bucket", key)
    assert body.isascii()
    assert jobs_of(body) == (Job("bucket", key, None),)


@dataclass
class Clock:
    """A clock that only `sleep` advances."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def test_the_rate_is_limited() -> None:
    clock = Clock()
    limiter = RateLimiter(20.0, clock.read, clock.sleep)
    for _ in range(100):
        limiter.take(10)
    assert clock.now == pytest.approx((100 - 1) * 10 / 20)


def test_a_sender_that_is_slower_than_the_rate_never_waits() -> None:
    clock = Clock()
    limiter = RateLimiter(10.0, clock.read, clock.sleep)
    for _ in range(5):
        limiter.take(10)
        clock.now += 3.0  # a batch takes longer than the rate requires
    assert clock.slept == []


def unexpected_warning(depth: int) -> None:
    pytest.fail(f"warned of {depth} messages")


def test_the_number_of_waiting_messages_is_limited() -> None:
    depths = iter([990, 995, 980, 0])
    waits: list[float] = []
    limiter = QueueLimiter(1000, lambda: next(depths), unexpected_warning, waits.append)
    limiter.take(10)
    assert waits == []
    limiter.take(10)  # 995 of 1000: no room for 10; then 980
    assert len(waits) == 1
    limiter.take(10)
    limiter.take(10)  # an empty queue


def test_without_a_limit_the_depth_is_not_requested() -> None:
    QueueLimiter(None, lambda: pytest.fail("requested the depth"), unexpected_warning).take(10)


def test_one_warning_if_the_function_does_not_read_its_queue() -> None:
    depths = iter([1000] * 400 + [0])
    warnings: list[int] = []
    QueueLimiter(1000, lambda: next(depths), warnings.append, lambda _: None).take(10)
    assert warnings == [1000]


def test_no_warning_if_the_function_reads_slowly() -> None:
    depths = iter([*range(2000, 1000, -1), 0])
    QueueLimiter(1000, lambda: next(depths), unexpected_warning, lambda _: None).take(10)


def fill(stack: DeployedStack, count: int) -> list[str]:
    keys = [f"{number:04} +ü.png" for number in range(count)]
    for key in keys:
        stack.s3.put_object(Bucket=BUCKET, Key=key, Body=b"123")
    return keys


def backfill(stack: DeployedStack, selection: Selection | None = None, **options: Any) -> BackfillRun:
    listing = Listing(stack.s3, BUCKET, "")
    return BackfillRun(stack, listing, selection or Selection(OURS), BackfillOptions(f"s3://{BUCKET}", **options))


def sent_keys(stack: DeployedStack) -> Counter[str]:
    return Counter(job.key for body in received(stack) for job in jobs_of(body))


def test_every_object_without_a_result_is_sent_once(stack: DeployedStack, capsys: pytest.CaptureFixture[str]) -> None:
    keys = fill(stack, SLICE + 30)
    etag = stack.s3.head_object(Bucket=BUCKET, Key=keys[0])["ETag"].strip('"')
    for key in keys[:50]:
        put_item(stack, f"s3://{BUCKET}/{key}", status="success", etag=etag, fingerprint=OURS)
    stack.s3.put_object(Bucket=BUCKET, Key="folder/", Body=b"")
    backfill(stack).run()
    assert sent_keys(stack) == Counter(keys[50:])
    assert "131 objects: 80 sent, 50 already embedded, 1 folder markers" in capsys.readouterr().out


class CrashError(Exception):
    """Stands in for a kill, in a test within one process."""


@dataclass
class CrashingSqs:
    """An SQS client whose `send_message_batch` raises after a number of calls."""

    sqs: Any
    calls: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sqs, name)

    def send_message_batch(self, **request: Any) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise CrashError
        return self.sqs.send_message_batch(**request)


@pytest.mark.parametrize("calls", [0, 1, 3, 5])
def test_an_interrupted_run_is_resumed(stack: DeployedStack, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.operate.backfill.objects.SLICE", 20)
    keys = fill(stack, 66)
    real = stack.sqs
    stack.__dict__["sqs"] = CrashingSqs(real, calls)  # replaces the cached client
    with pytest.raises(CrashError):
        backfill(stack).run()
    stack.__dict__["sqs"] = real
    first = sent_keys(stack)
    backfill(stack).run()
    second = sent_keys(stack) - first
    assert set(first) | set(second) == set(keys)
    twice = first & second
    assert sum(twice.values()) <= 20
    completed = calls // 2 * 20  # objects of completed slices
    assert not set(keys[:completed]) & set(second)


def test_a_completed_run_is_not_resumed(stack: DeployedStack) -> None:
    keys = fill(stack, 5)
    for _ in range(2):  # no function embeds them between the runs
        backfill(stack).run()
    assert sent_keys(stack) == Counter(keys * 2)


def test_the_same_backfill_cannot_run_twice_at_the_same_time(stack: DeployedStack) -> None:
    fill(stack, 5)
    run = backfill(stack)
    with StateFile.of(run.task()).lock(), pytest.raises(OperatorError, match="the same backfill is already running"):
        run.run()
    assert sent_keys(stack) == Counter()


def test_another_model_is_another_task(stack: DeployedStack) -> None:
    tasks = [backfill(stack, Selection(name)).task() for name in ("a", "b")]
    assert StateFile.of(tasks[0]).path != StateFile.of(tasks[1]).path


def test_a_saved_state_is_loaded_unchanged(stack: DeployedStack) -> None:
    file = StateFile.of({})
    with file.lock():
        for position in ("a key", (3, 17), None):
            state = BackfillState(position, Counter(sent=3), 99, 1000)
            file.save(state)
            assert file.load() == state
        file.path.write_bytes(b"{half")
        assert file.load() == BackfillState()
    assert [path.name for path in file.path.parent.glob("*.part")] == []


def test_a_restart_begins_with_the_first_object(stack: DeployedStack) -> None:
    keys = fill(stack, 3)
    run = backfill(stack, restart=True)
    file = StateFile.of(run.task())
    file.path.parent.mkdir(parents=True)
    file.save(BackfillState(keys[1], Counter(sent=2), 6, 3))
    run.run()
    assert sent_keys(stack) == Counter(keys)


@dataclass
class RejectingSqs:
    """An SQS client that accepts only part of the first batches."""

    sqs: Any
    sender_fault: bool
    rejections: int = 2

    def send_message_batch(self, **request: Any) -> Any:
        if self.rejections == 0:
            return self.sqs.send_message_batch(**request)
        self.rejections -= 1
        *accepted, last = request["Entries"]
        failed = {"Id": last["Id"], "SenderFault": self.sender_fault, "Code": "InternalError", "Message": "not now"}
        answer = self.sqs.send_message_batch(QueueUrl=request["QueueUrl"], Entries=accepted) if accepted else {}
        return {**answer, "Failed": [failed]}


def send(stack: DeployedStack, keys: Sequence[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        Sender(stack, BUCKET, QueueLimiter(None, int, int), RateLimiter(None), pool).send(keys)


def test_only_messages_that_failed_are_sent_again(stack: DeployedStack) -> None:
    real = stack.sqs
    stack.__dict__["sqs"] = RejectingSqs(real, sender_fault=False)
    keys = [f"{number}.png" for number in range(10)]
    send(stack, keys)
    stack.__dict__["sqs"] = real
    assert sent_keys(stack) == Counter(keys)


def test_a_rejected_message_is_an_error(stack: DeployedStack) -> None:
    stack.__dict__["sqs"] = RejectingSqs(stack.sqs, sender_fault=True)
    with pytest.raises(OperatorError, match="SQS rejected a message: InternalError: not now"):
        send(stack, ["a.png"])


def test_the_results_bucket_cannot_be_embedded(stack: DeployedStack) -> None:
    from infra.operate.backfill.run import _source

    with pytest.raises(OperatorError, match="json is the results bucket"):
        _source(stack, BackfillOptions("s3://json/a"))


def test_progress_shows_the_total(stack: DeployedStack, capsys: pytest.CaptureFixture[str]) -> None:
    fill(stack, 12)
    backfill(stack).run()
    assert "backfill: 12 of 12, 12 to embed" in capsys.readouterr().err
