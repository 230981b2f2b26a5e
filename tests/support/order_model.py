"""A state machine over uploads, deliveries and crashes, which checks that the item always ends at what the key holds.

Every AWS call of every worker waits for its turn, so hypothesis decides the interleaving of all workers call by call,
and where one of them crashes or loses an answer. Sequencers, versions, delete markers and archive restores are as in
S3; the AWS behind it is moto, over HTTP in this process.
"""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from handler.aws.clients import Clients
from handler.aws.objects import read_object
from handler.aws.sdk.errors import NetworkError
from handler.aws.sdk.s3 import ObjectResponse
from handler.errors import MissingObjectError
from handler.jobs import Job
from handler.model.encoder import Encoder
from handler.outcomes import Outcome, Status
from handler.pipeline import Pipeline
from handler.results.sequencing import normalize_sequencer
from handler.results.store import Store
from handler.settings import Settings
from handler.timing import Deadline, Stopwatch
from tests.support.loopback_aws import State, without_sockets
from tests.support.pictures import encoded, picture

if TYPE_CHECKING:
    from types_boto3_s3.literals import StorageClassType

RESULTS, TABLE = "results", "vectors"
CONTENTS = [encoded(picture(40, 30, seed=seed)) for seed in range(3)] + [b"no picture at all"]
MAX_WORKERS = 4

_cases = itertools.count(1)


class Crash(BaseException):
    """The process is gone: nothing of ours may catch it."""


class Gate:
    """Stands before every AWS call of one worker."""

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
            if isinstance(answer, ObjectResponse):
                with answer:
                    pass
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
class Event:
    """A delivery to be made: a job, until it is done."""

    job: Job


@dataclass
class Worker:
    """One invocation on one event, in a thread that runs only when it is told to."""

    event: Event
    pipeline: Pipeline
    gate: Gate
    outcome: Outcome | None = None
    alive: bool = True
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._wait()

    def _run(self) -> None:
        try:
            self.outcome = self.pipeline.process(self.event.job, Deadline(3600))
        except Crash:
            pass
        finally:
            self.gate.waiting.put("end")

    def _wait(self) -> None:
        if self.gate.waiting.get(timeout=60) == "end":
            self.thread.join()
            self.alive = False

    def order(self, order: str) -> None:
        self.gate.orders.put(order)
        self._wait()

    @property
    def is_done(self) -> bool:
        return self.outcome is not None and self.outcome.status is not Status.FAILED


class OrderMachine(RuleBasedStateMachine):
    """Puts, overwrites, deletes, restores; deliveries late, twice, at the same time, and cut off anywhere."""

    aws: State
    encoder: Encoder
    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self.case = next(_cases)
        self.sequence = itertools.count(0x1000)
        self.pending: list[Event] = []
        self.delivered: list[Event] = []
        self.workers: list[Worker] = []
        self.newest: dict[str, str] = {}
        # One for each case: what an earlier case has left there would be copied with every list that moto makes.
        self.bucket = f"uploads-{self.case}"
        self.versioned = False
        self.aws.operator.s3.create_bucket(Bucket=self.bucket)

    @initialize(versioned=st.booleans())
    def choose_versions(self, versioned: bool) -> None:
        self.versioned = versioned
        if versioned:
            self.aws.operator.s3.put_bucket_versioning(
                Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
            )

    # What users do to the bucket

    def _happened(self, key: str, *, sequenced: bool = True) -> None:
        sequencer = None
        if sequenced:
            sequencer = f"{next(self.sequence):X}"
            self.newest[key] = normalize_sequencer(sequencer)
        self.pending.append(Event(Job(self.bucket, key, sequencer)))

    def _key(self, number: int) -> str:
        return f"photos/{'ab'[number]}"

    @rule(number=st.integers(0, 1), content=st.integers(0, len(CONTENTS) - 1), archived=st.booleans())
    def put(self, number: int, content: int, archived: bool) -> None:
        key = self._key(number)
        storage: StorageClassType = "GLACIER" if archived and content == 0 else "STANDARD"
        self.aws.operator.s3.put_object(Bucket=self.bucket, Key=key, Body=CONTENTS[content], StorageClass=storage)
        self._happened(key)

    @rule(number=st.integers(0, 1))
    def delete(self, number: int) -> None:
        self.aws.operator.s3.delete_object(Bucket=self.bucket, Key=self._key(number))
        self._happened(self._key(number))

    @precondition(lambda self: self.versioned)
    @rule(number=st.integers(0, 1), which=st.integers(0, 9))
    def delete_version(self, number: int, which: int) -> None:
        key = self._key(number)
        listing = self.aws.operator.s3.list_object_versions(Bucket=self.bucket, Prefix=key)
        versions = [*listing.get("Versions", []), *listing.get("DeleteMarkers", [])]
        if versions:
            version = versions[which % len(versions)]["VersionId"]
            self.aws.operator.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version)
            self._happened(key)

    @rule(number=st.integers(0, 1))
    def restore(self, number: int) -> None:
        key = self._key(number)
        listing = self.aws.operator.s3.list_objects_v2(Bucket=self.bucket, Prefix=key).get("Contents", [])
        if listing and listing[0].get("StorageClass") == "GLACIER":
            self.aws.operator.s3.restore_object(Bucket=self.bucket, Key=key, RestoreRequest={"Days": 1})
            self._happened(key, sequenced=False)

    @rule(number=st.integers(0, 1))
    def backfill(self, number: int) -> None:
        self.pending.append(Event(Job(self.bucket, self._key(number), None)))

    # What the platform does with the events

    @precondition(lambda self: self.pending and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 99))
    def deliver(self, which: int) -> None:
        event = self.pending.pop(which % len(self.pending))
        self.delivered.append(event)
        self._start(event)

    @precondition(lambda self: self.delivered and len(self.workers) < MAX_WORKERS)
    @rule(which=st.integers(0, 99))
    def deliver_again(self, which: int) -> None:
        self._start(self.delivered[which % len(self.delivered)])

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 99), order=st.sampled_from(["go"] * 6 + ["lose the answer"]))
    def let_one_call_pass(self, which: int, order: str) -> None:
        self._order(self.workers[which % len(self.workers)], order)

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 99), calls=st.integers(1, 6))
    def let_calls_pass(self, which: int, calls: int) -> None:
        worker = self.workers[which % len(self.workers)]
        for _ in range(calls):
            if worker.alive:
                self._order(worker, "go")

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 99))
    def crash(self, which: int) -> None:
        self._order(self.workers[which % len(self.workers)], "crash")

    def _start(self, event: Event) -> None:
        gate = Gate()
        gated = Clients(
            s3=cast("Any", Gated(self.aws.clients.s3, gate)),
            dynamodb=cast("Any", Gated(self.aws.clients.dynamodb, gate)),
        )
        worker = Worker(event, Pipeline(self.settings, self.encoder, gated, Store(gated, self.settings)), gate)
        self.workers.append(worker)
        self._collect(worker)

    def _order(self, worker: Worker, order: str) -> None:
        worker.order(order)
        self._collect(worker)

    def _collect(self, worker: Worker) -> None:
        if not worker.alive:
            self.workers.remove(worker)
            if not worker.is_done:
                self.pending.append(worker.event)

    # What must be true in the end

    def teardown(self) -> None:
        for worker in list(self.workers):
            while worker.alive:
                self._order(worker, "go")
        rounds = 0
        while self.pending:
            rounds += 1
            assert rounds < 500, "some event is never done"
            self._start(self.pending.pop(0))
            while self.workers:
                self._order(self.workers[0], "go")
        for number in (0, 1):
            self._check(self._key(number))

    def _check(self, key: str) -> None:
        item = self._item(key)
        content, etag = self._content(key)
        results = self._results(key)
        if content is None and etag is None:
            assert item.get("status", "deleted") == "deleted", item
            assert results == {}
        else:
            self._check_holds(item, content, etag, results)
        if key in self.newest:
            assert item["sequencer"] == self.newest[key]

    def _check_holds(
        self, item: dict[str, Any], content: bytes | None, etag: str | None, results: dict[str, dict[str, Any]]
    ) -> None:
        if not item:  # put, and never told of: only where no event was made
            raise AssertionError("an object without an item")
        assert item["etag"] == etag
        result = results[item["result"]]
        assert (result["etag"], result["status"]) == (etag, item["status"])
        if content is None:
            assert item["error_code"] == "archived_object"
        elif content == CONTENTS[-1]:
            assert item["error_code"] == "unsupported_format"
        else:
            expected = self._vector(content)
            assert np.array_equal(np.frombuffer(item["embedding"], dtype="<f4"), expected)
            assert np.array_equal(np.array(result["embedding"]["embedding"], dtype=np.float32), expected)

    def _vector(self, content: bytes) -> Any:
        plain = Pipeline(self.settings, self.encoder, self.aws.clients, Store(self.aws.clients, self.settings))
        return plain.embed_bytes(content, Stopwatch()).normalize().vector

    def _content(self, key: str) -> tuple[bytes | None, str | None]:
        try:
            stored = read_object(self.aws.clients.s3, self.bucket, key, 10**9, Deadline(60))
        except MissingObjectError:
            return None, None
        return stored.data, stored.etag

    def _item(self, key: str) -> dict[str, Any]:
        found = Store(self.aws.clients, self.settings).read(self.bucket, key, Deadline(60))
        return {name: next(iter(value.values())) for name, value in (found or {}).items()}

    def _results(self, key: str) -> dict[str, dict[str, Any]]:
        listing = self.aws.operator.s3.list_objects_v2(Bucket=RESULTS, Prefix=f"{self.bucket}/{key}/").get(
            "Contents", []
        )
        names = [entry["Key"] for entry in listing]
        bodies = [self.aws.operator.s3.get_object(Bucket=RESULTS, Key=name)["Body"].read() for name in names]
        return {f"s3://{RESULTS}/{name}": orjson.loads(body) for name, body in zip(names, bodies, strict=True)}


def prepare(aws: State, encoder: Encoder, settings: Settings) -> type[OrderMachine]:
    """Make the bucket of the results and the table, and a machine class that works on them."""
    aws.operator.s3.create_bucket(Bucket=RESULTS)
    aws.operator.dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws = aws._replace(clients=without_sockets(aws.clients))
    return type("Machine", (OrderMachine,), {"aws": aws, "encoder": encoder, "settings": settings})
