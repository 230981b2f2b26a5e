"""An outage of S3 for an hour, on a simulated clock: it is noticed within minutes, and nothing is lost.

The function is real. S3 and DynamoDB are in memory; the queue behaves as SQS's documentation says, and the alarms are
evaluated as CloudWatch's says, with the numbers of the template.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from handler.aws import retries
from handler.aws.clients import Clients
from handler.aws.sdk.errors import ServiceError
from handler.model.encoder import load_encoder
from handler.pipeline import Pipeline
from handler.results.store import Store
from handler.settings import read_settings
from handler.triggers import backoff
from infra.common.paths import TEMPLATE
from infra.common.template import load
from tests.support.memory_aws import MemoryDynamoDB, MemoryObject, MemoryS3
from tests.support.pictures import encoded, picture
from tests.unit.conftest import RESULTS, TABLE, UPLOADS, Serve
from tests.unit.test_backoff import RECEIVES, record

IMAGES, OUTAGE = 200, 3600.0
BATCH = 10
PHOTO = encoded(picture(16, 16))


@dataclass
class Queue:
    """A queue of SQS with a dead-letter queue, in simulated seconds.

    Attributes:
        visibility: the queue's visibility timeout.
        visible: when each message becomes visible, by its key.
        receives: how often each message was received.
        dead: messages that were received too often.
    """

    visibility: float
    visible: dict[str, float] = field(default_factory=dict)
    receives: dict[str, int] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)

    def send(self, key: str, now: float) -> None:
        self.visible[key], self.receives[key] = now, 0

    def receive(self, now: float) -> list[dict[str, Any]]:
        keys = sorted((at, key) for key, at in self.visible.items() if at <= now)[:BATCH]
        records = []
        for _, key in keys:
            if self.receives[key] == RECEIVES:
                del self.visible[key]
                self.dead.append(key)
                continue
            self.receives[key] += 1
            self.visible[key] = now + self.visibility
            records.append(record(key, self.receives[key]))
        return records

    def change_visibility(self, handle: str, seconds: float, now: float) -> None:
        self.visible[handle.split("-")[1]] = now + seconds

    def delete(self, keys: set[str]) -> None:
        for key in keys:
            del self.visible[key]


class FailingS3(MemoryS3):
    """S3 that refuses every call during the outage; `now` is the drill's clock."""

    client = endpoints = None
    now = 0.0

    def get_object(self, bucket: str, key: str) -> MemoryObject:
        if self.now < OUTAGE:
            raise ServiceError("GetObject", 503, "SlowDown", "Please reduce your request rate.", {})
        return super().get_object(bucket, key)


@dataclass
class Drill:
    """The function, its queue, and the clock."""

    serve: Serve
    pipeline: Pipeline
    s3: FailingS3
    dynamodb: MemoryDynamoDB
    queue: Queue
    now: float = 0.0
    failures: dict[int, float] = field(default_factory=dict)

    def upload(self, number: int, now: float) -> None:
        self.s3.put(UPLOADS, f"{number}", PHOTO, archived=False)
        self.queue.send(f"{number}", now)

    def statuses(self) -> list[str]:
        return [item["status"]["S"] for item in self.dynamodb.items.values()]

    def run(self, output: pytest.CaptureFixture[str]) -> None:
        """Process messages until the queue is empty."""
        while self.queue.visible:
            self.now = self.s3.now = max(self.now, min(self.queue.visible.values()))
            while records := self.queue.receive(self.now):
                answer = self.serve({"Records": records}, None, self.pipeline)
                assert answer
                failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
                self.queue.delete({one["messageId"] for one in records} - failed)
                self._count(output.readouterr().out)

    def _count(self, log: str) -> None:
        """Add up the metric `Failed` of each minute."""
        for line in log.splitlines():
            fields = json.loads(line)
            if "_aws" in fields and fields["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["FunctionName"]]:
                minute = int(self.now // 60)
                self.failures[minute] = self.failures.get(minute, 0) + fields.get("Failed", 0)

    def alarms_at(self, alarm: str) -> float:
        """When an alarm of the template on these failures fires, in seconds."""
        properties = load(TEMPLATE)["Resources"][alarm]["Properties"]
        assert properties["Period"] == 60
        periods, needed = properties["EvaluationPeriods"], properties["DatapointsToAlarm"]
        for minute in range(10_000):
            recent = [self.failures.get(one, 0) for one in range(minute - periods + 1, minute + 1)]
            if sum(count > properties["Threshold"] for count in recent) >= needed:
                return (minute + 1) * 60.0
        raise AssertionError("the alarm never fires")


@pytest.fixture
def drill(serve: Serve, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    monkeypatch.setattr(retries, "MAX_ATTEMPTS", 1)  # the outage outlasts the attempts of an invocation anyway
    s3, dynamodb = FailingS3(), MemoryDynamoDB()
    queue = Queue(load(TEMPLATE)["Mappings"]["ByTimeout"]["60"]["VisibilitySeconds"])
    clients = Clients(s3=cast("Any", s3), dynamodb=cast("Any", dynamodb))
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
    pipeline = Pipeline(settings, load_encoder(tiny_bundle), clients, Store(clients, settings))
    drill = Drill(serve, pipeline, s3, dynamodb, queue)

    class FakeSQS:
        def __init__(self, *_: object) -> None: ...

        def change_visibility(self, _: str, handle: str, seconds: int) -> None:
            queue.change_visibility(handle, seconds, drill.now)

    monkeypatch.setattr(backoff, "SQS", FakeSQS)
    return drill


def test_an_hour_without_s3_is_noticed_in_minutes_and_loses_nothing(
    drill: Drill, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(IMAGES):
        drill.upload(number, now=number / 2)
    drill.run(capsys)
    assert drill.queue.dead == []
    assert drill.statuses() == ["success"] * IMAGES
    assert drill.now < OUTAGE + 180, "everything is done soon after the outage"
    assert drill.alarms_at("FailedAlarm") <= 180
    assert drill.alarms_at("FailedBatchesAlarm") <= 180
    assert max(drill.queue.receives.values()) < RECEIVES - 3


@pytest.mark.parametrize("images", [1, 20])
def test_one_transient_failure_is_no_alarm(
    drill: Drill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], images: int
) -> None:
    monkeypatch.setattr("tests.unit.test_outage.OUTAGE", 5.0)
    for number in range(images):
        drill.upload(number, now=0)
    drill.run(capsys)
    assert sum(drill.failures.values()) == images
    with pytest.raises(AssertionError, match="never fires"):
        drill.alarms_at("FailedAlarm")
    assert drill.statuses() == ["success"] * images
