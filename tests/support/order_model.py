"""A state machine over uploads, deliveries and crashes. It checks that item and JSON always end at the current object.

Every AWS call of every worker waits at a gate, so hypothesis decides how the calls of all workers interleave, where a
worker crashes, and which answer is lost after the call was made. Sequencers, versions, delete markers and archive
restores are as in S3. Everything happens to one key, and each case begins with a short history of it, so that workers
collide often.
"""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any, cast

import numpy as np
import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handler.aws.clients import Clients
from handler.aws.sdk.errors import NetworkError
from handler.jobs import Job
from handler.model.encoder import Encoder
from handler.outcomes import Outcome, Status
from handler.pipeline import Pipeline
from handler.results.sequencing import normalize_sequencer
from handler.results.store import Store
from handler.settings import Settings, read_settings
from handler.timing import Deadline, Stopwatch
from tests.support.memory_aws import MemoryDynamoDB, MemoryS3, Version
from tests.support.pictures import encoded, picture

UPLOADS, RESULTS, TABLE = "uploads", "results", "vectors"
KEY = "photos/a"
SOURCE = f"s3://{UPLOADS}/{KEY}"
CONTENTS = [encoded(picture(40, 30, seed=seed)) for seed in range(2)] + [b"no picture at all"]
MAX_WORKERS = 4
MAX_DELIVERIES = 300

# What happened to the key before the case begins, one letter a step: p and q put one content or the other, a puts an
# archived object, d deletes, r restores, b is a backfill; P, Q and D are events without a sequencer. A digit delivers
# the newest event and makes so many calls of it (9: all); `!` crashes the newest worker, `v` finishes it; `n` makes one
# call of the newest worker and `w` of the oldest; `.` delivers and finishes all.
HISTORIES = [
    "",
    "p.",
    "P.",
    "p.d.",
    "P.D.",
    "p.q.",
    "a.r",
    "a.r.",
    "a3!r",  # a JSON that says "archived", no item, and a restored object
    "a.r.d3",
    "a2r9",  # has seen the archived object, before the restored one is committed
    "p1d9",  # has read the object, before its tombstone
    "p1d9w!",  # has written a JSON after the clean-up of a newer tombstone, and does not know it when it begins again
    "p.d3p3wnd9",  # is about to write a missing JSON again, when a newer tombstone is there
    "p2!d9",  # has written a JSON, and a later delivery finds a newer tombstone
    "p.d3p9",  # is about to delete what is named again
    "p.d3p9avb9",  # deletes what is named again, and then the object is archived: its JSON cannot be made again
    "p.D4p9",
    "p.D4p9ba",  # deletes what is named again, when the object is archived and only a backfill looks at it
    "d1q2p2",  # a tombstone, and a commit over it, between the JSON and the item of another worker
    "P.p3q3",  # two events meet an item without a sequencer
    "p2b3",
    "p.d3a2p9wv",  # a JSON that says "archived" takes the place of a deleted one that is named
]


class Crash(BaseException):
    """Ends a worker's process: the code under test must not catch it."""


class Gate:
    """Holds every AWS call of one worker until it is ordered to pass."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[str] = SimpleQueue()
        self.orders: SimpleQueue[str] = SimpleQueue()

    def pass_through(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.waiting.put("call")
        order = self.orders.get()
        if order == "crash":
            raise Crash
        answer = call(*args, **options)
        if order == "lose the answer":
            raise NetworkError("lost")
        return answer


@dataclass
class Gated:
    """A client whose every call passes a gate."""

    client: Any
    gate: Gate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        return lambda *args, **options: self.gate.pass_through(call, *args, **options)


@dataclass
class Worker:
    """One invocation for one job, in a thread that runs only between two orders.

    Attributes:
        undisturbed: whether neither another worker nor the owner did anything since it began.
        error: what it raised: always a defect.
    """

    job: Job
    pipeline: Pipeline
    gate: Gate
    undisturbed: bool
    outcome: Outcome | None = None
    error: BaseException | None = None
    alive: bool = True
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._wait()

    def _run(self) -> None:
        try:
            self.outcome = self.pipeline.process(self.job, Deadline(3600))
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - reported by the machine
            self.error = error
        finally:
            self.gate.waiting.put("end")

    def _wait(self) -> None:
        if self.gate.waiting.get(timeout=60) == "end":
            self.thread.join()
            self.alive = False

    def order(self, order: str) -> None:
        self.gate.orders.put(order)
        self._wait()


class OrderMachine(RuleBasedStateMachine):
    """Puts, overwrites, deletes, restores; deliveries late, twice, at the same time, and cut off anywhere."""

    encoder: Encoder
    settings: Settings
    vectors: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.s3, self.dynamodb = MemoryS3(), MemoryDynamoDB()
        self.sequence = itertools.count(0x1000)
        self.clock = itertools.count()
        self.pending: list[Job] = []
        self.delivered: list[Job] = []
        self.workers: list[Worker] = []
        self.newest: str | None = None
        self.patience = 0

    @initialize(versioned=st.booleans(), history=st.sampled_from(HISTORIES), patience=st.sampled_from([4, 12, 99, 99]))
    def begin(self, versioned: bool, history: str, patience: int) -> None:
        if versioned:
            self.s3.versioned.add(UPLOADS)
        for step in history:
            self._replay(step)
        self.patience = patience

    def _replay(self, step: str) -> None:
        if step == ".":
            self._finish_all()
        elif step == "!":
            self._order(self.workers[-1], "crash")
        elif step in "wn":
            self._order(self.workers[0 if step == "w" else -1], "go")
        elif step == "v":
            self._advance(self.workers[-1], 99)
        elif step.isdigit():
            self.deliver(len(self.pending) - 1)
            self._advance(self.workers[-1], 99 if step == "9" else int(step))
        else:
            self._change(step)

    def _advance(self, worker: Worker, calls: int) -> None:
        for _ in range(calls):
            if worker.alive:
                self._order(worker, "go")

    def _change(self, step: str) -> None:
        if step == "r":
            self.restore()
        elif step == "b":
            self.backfill()
        elif step == "a":
            self.put_archived()
        elif step in "dD":
            self.delete(sequenced=step == "d")
        else:
            self.put("pq".index(step.lower()), sequenced=step.islower())

    @invariant()
    def lose_patience(self) -> None:
        """Count the steps: a short case keeps the collisions of its history."""
        self.patience = max(0, self.patience - 1)

    @precondition(lambda self: not self.patience)
    @rule()
    def wait(self) -> None:
        """Do nothing until the case ends."""

    # What the owner does to the bucket.

    def _happened(self, *, sequenced: bool) -> None:
        self._disturb()
        sequencer = None
        if sequenced:
            sequencer = f"{next(self.sequence):X}"
            self.newest = normalize_sequencer(sequencer)
        self.pending.append(Job(UPLOADS, KEY, sequencer))

    def _disturb(self) -> None:
        for worker in self.workers:
            worker.undisturbed = False

    @precondition(lambda self: self.patience)
    @rule(content=st.sampled_from([0, 0, 0, 1, 1, 2]), sequenced=st.sampled_from([True, True, False]))
    def put(self, content: int, sequenced: bool) -> None:
        self.s3.put(UPLOADS, KEY, CONTENTS[content], archived=False)
        self._happened(sequenced=sequenced)

    @precondition(lambda self: self.patience)
    @rule()
    def put_archived(self) -> None:
        self.s3.put(UPLOADS, KEY, CONTENTS[0], archived=True)
        self._happened(sequenced=True)

    @precondition(lambda self: self.patience)
    @rule(sequenced=st.sampled_from([True, True, False]))
    def delete(self, sequenced: bool) -> None:
        self.s3.delete_object(UPLOADS, KEY)
        self._happened(sequenced=sequenced)

    @precondition(lambda self: self.patience and len(self.s3.keys.get((UPLOADS, KEY), [])) > 1)
    @rule(which=st.integers(0, 9))
    def delete_version(self, which: int) -> None:
        versions = self.s3.keys[UPLOADS, KEY]
        versions.pop(-1 - which % len(versions))
        self._happened(sequenced=True)

    @precondition(lambda self: self.patience and self._current() is not None and self._current().archived)
    @rule()
    def restore(self) -> None:
        current = self._current()
        assert current is not None
        current.archived = False
        self._happened(sequenced=False)

    @precondition(lambda self: self.patience)
    @rule()
    def backfill(self) -> None:
        self.pending.append(Job(UPLOADS, KEY, None))

    # What the platform does with the events.

    @precondition(lambda self: self.patience and self.pending and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 9))
    def deliver(self, which: int) -> None:
        job = self.pending.pop(which % len(self.pending))
        self.delivered.append(job)
        self._start(job)

    @precondition(lambda self: self.patience and self.delivered and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 9))
    def deliver_again(self, which: int) -> None:
        self._start(self.delivered[-1 - which % len(self.delivered)])

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3), order=st.sampled_from(["go", "lose the answer", "crash"]))
    def let_one_call_pass(self, which: int, order: str) -> None:
        self._order(self.workers[which % len(self.workers)], order)

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3), calls=st.integers(1, 6))
    def let_calls_pass(self, which: int, calls: int) -> None:
        self._advance(self.workers[which % len(self.workers)], calls)

    @precondition(lambda self: self.patience and self.workers)
    @rule(which=st.integers(0, 3))
    def finish(self, which: int) -> None:
        self._advance(self.workers[which % len(self.workers)], 99)

    def _now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=next(self.clock))

    def _start(self, job: Job) -> None:
        self._disturb()
        gate = Gate()
        clients = Clients(s3=cast("Any", Gated(self.s3, gate)), dynamodb=cast("Any", Gated(self.dynamodb, gate)))
        store = Store(clients, self.settings, self._now)
        pipeline = Pipeline(self.settings, self.encoder, clients, store)
        self.workers.append(Worker(job, pipeline, gate, undisturbed=not self.workers))

    def _order(self, worker: Worker, order: str) -> None:
        worker.order(order)
        if worker.alive:
            return
        self.workers.remove(worker)
        if worker.error is not None:
            raise AssertionError("a worker raised") from worker.error
        if worker.outcome is None or worker.outcome.status is Status.FAILED:
            error = worker.outcome.error if worker.outcome else None
            assert error is None or error.code == "unavailable", repr(error)
            self.pending.append(worker.job)
        elif worker.undisturbed and worker.outcome.status is not Status.SUPERSEDED:
            self._check_undisturbed()

    def _finish_all(self) -> None:
        deliveries = 0
        while self.workers or self.pending:
            while self.workers:
                self._order(self.workers[0], "go")
            if self.pending:
                deliveries += 1
                assert deliveries < MAX_DELIVERIES, "some event is never done"
                self.deliver(0)

    # What must be true.

    def _check_undisturbed(self) -> None:
        """A worker that ran alone has made the item right by itself, whatever other events are still to come."""
        item, current = self._item(), self._current()
        if current is None:
            assert item.get("status", "deleted") == "deleted", item
            return
        assert item["etag"] == _identity(current)[0]
        # With the same bytes a backfill of an archived object keeps the vector, and a repeated event the rejection.
        if not current.archived and item.get("error_code") != "archived_object":
            assert item.get("version_id") == current.id
        result = self._results()[item["result"]]
        assert (result["etag"], result["error_code"]) == (item["etag"], item.get("error_code"))

    def teardown(self) -> None:
        self._finish_all()
        item, current, results = self._item(), self._current(), self._results()
        if current is None:
            assert item.get("status", "deleted") == "deleted", item
            assert results == {}
        else:
            assert item, "an object without an item"
            self._check_holds(item, current, results)
        if self.newest is not None:
            assert item["sequencer"] == self.newest

    def _check_holds(self, item: dict[str, Any], current: Version, results: dict[str, dict[str, Any]]) -> None:
        assert (item["etag"], item.get("version_id")) == _identity(current)
        result = results[item["result"]]
        assert (result["etag"], result["status"]) == (item["etag"], item["status"])
        if current.archived:
            assert item["error_code"] == "archived_object"
        elif current.data == CONTENTS[-1]:
            assert item["error_code"] == "unsupported_format"
        else:
            expected = self._vectors_of(item["fingerprint"])[CONTENTS.index(current.data or b"")]
            assert np.array_equal(np.frombuffer(item["embedding"], dtype="<f4"), expected)
            assert np.array_equal(np.array(result["embedding"]["embedding"], dtype=np.float32), expected)

    def _vectors_of(self, fingerprint: str) -> list[Any]:
        assert fingerprint == self.encoder.spec.fingerprint
        return self.vectors

    def _current(self) -> Version | None:
        return self.s3.current(UPLOADS, KEY) if self.s3.exists(UPLOADS, KEY) else None

    def _item(self) -> dict[str, Any]:
        return {name: next(iter(value.values())) for name, value in self.dynamodb.items.get(SOURCE, {}).items()}

    def _results(self) -> dict[str, dict[str, Any]]:
        names = [entry.key for entry in self.s3.list_objects(RESULTS, "").entries]
        return {f"s3://{RESULTS}/{name}": orjson.loads(self.s3.get_object(RESULTS, name).data) for name in names}


def _identity(version: Version) -> tuple[str, str | None]:
    """ETag and version id as an item has them; the version of an object that was not read stays unknown."""
    return version.etag.strip('"'), None if version.archived else version.id


def make_machine(encoder: Encoder) -> type[OrderMachine]:
    """A machine class that embeds with this encoder."""
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
    vectors = embedded(encoder, settings)
    return type("Machine", (OrderMachine,), {"encoder": encoder, "settings": settings, "vectors": vectors})


def embedded(encoder: Encoder, settings: Settings) -> list[Any]:
    """The vectors of the contents that can be embedded."""
    clients = Clients(s3=cast("Any", MemoryS3()), dynamodb=cast("Any", MemoryDynamoDB()))
    plain = Pipeline(settings, encoder, clients, Store(clients, settings))
    return [plain.embed_bytes(data, Stopwatch()).normalize().vector for data in CONTENTS[:-1]]
