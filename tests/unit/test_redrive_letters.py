"""A thousand dead letters of every kind, a redrive that is interrupted three times, and the function: none is lost."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.aws.clients import Clients
from handler.model.encoder import load_encoder
from handler.pipeline import Pipeline
from handler.results.store import Store
from handler.settings import read_settings
from infra.operate.dead_letters import redrive
from infra.operate.stack import DEAD_LETTERS, QUEUE, DeployedStack, StackRef
from tests.support.memory_aws import MemoryDynamoDB, MemoryS3
from tests.support.pictures import encoded, picture
from tests.unit.conftest import RESULTS, TABLE, UPLOADS, Serve

DEAD, QUEUED = "https://sqs/1/dead", "https://sqs/1/uploads"
PHOTOS = [encoded(picture(16 + number, 16)) for number in range(3)]


def s3_event(key: str) -> dict[str, Any]:
    s3 = {"bucket": {"name": UPLOADS}, "object": {"key": key, "sequencer": "01"}}
    return {"Records": [{"eventSource": "aws:s3", "eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3}]}


def eventbridge_event(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": UPLOADS}, "object": {"key": key, "sequencer": "01"}, "request-id": "1"}
    return {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def of_sns(event: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": json.dumps(event)}}]}


def of_lambda(event: dict[str, Any]) -> dict[str, Any]:
    """What Lambda sends to the destination for failed asynchronous invocations."""
    return {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "throttled", "errorType": "RetryableError"},
    }


def attribute(text: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": text}


# What EventBridge adds: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
OF_EVENTBRIDGE = {
    "RULE_ARN": attribute("arn:aws:events:us-east-1:123456789012:rule/dropvec-uploads"),
    "TARGET_ARN": attribute("arn:aws:sqs:us-east-1:123456789012:uploads"),
    "ERROR_CODE": attribute("NO_PERMISSIONS"),
    "ERROR_MESSAGE": attribute("m" * 500),
    "EXHAUSTED_RETRY_CONDITION": attribute("MaximumRetryAttempts"),
    "RETRY_ATTEMPTS": attribute("185"),
}

KINDS: dict[str, Any] = {
    "S3 to the queue": s3_event,
    "S3 over SNS to the queue": lambda key: {"Type": "Notification", "Message": json.dumps(s3_event(key))},
    "EventBridge to the queue": eventbridge_event,
    "S3 to the function": lambda key: of_lambda(s3_event(key)),
    "SNS to the function": lambda key: of_lambda(of_sns(s3_event(key))),
    "EventBridge to the function": lambda key: of_lambda(eventbridge_event(key)),
    "EventBridge's own letter": eventbridge_event,
}


@dataclass
class MemorySqs:
    """Two queues without move tasks. The program is interrupted before the calls whose numbers are in `interrupts`.

    Attributes:
        messages: by queue URL and message id.
        hidden: receipt handles of received messages.
        interrupts: numbers of calls.
    """

    messages: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {DEAD: {}, QUEUED: {}})
    hidden: set[str] = field(default_factory=set)
    interrupts: set[int] = field(default_factory=set)
    calls: int = 0
    ids: Any = field(default_factory=itertools.count)

    def _call(self) -> None:
        self.calls += 1
        if self.calls in self.interrupts:
            raise KeyboardInterrupt

    def add(self, url: str, body: str, attributes: dict[str, Any]) -> str:
        name = f"{next(self.ids)}"
        message = {"MessageId": name, "ReceiptHandle": name, "Body": body, "MessageAttributes": attributes}
        self.messages[url][name] = message
        return name

    def list_message_move_tasks(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "InvalidAction", "Message": ""}}, "ListMessageMoveTasks")

    def get_queue_attributes(self, QueueUrl: str, **_: Any) -> Any:  # noqa: N803 - boto3's names, here and below
        hidden = sum(name in self.hidden for name in self.messages[QueueUrl])
        visible = len(self.messages[QueueUrl]) - hidden
        numbers = {
            "ApproximateNumberOfMessages": f"{visible}",
            "ApproximateNumberOfMessagesNotVisible": f"{hidden}",
        }
        return {"Attributes": {"QueueArn": f"arn:aws:sqs:us-east-1:1:{QueueUrl.rpartition('/')[2]}", **numbers}}

    def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> Any:  # noqa: N803
        self._call()
        visible = (one for name, one in self.messages[QueueUrl].items() if name not in self.hidden)
        found = list(itertools.islice(visible, MaxNumberOfMessages))
        self.hidden |= {one["MessageId"] for one in found}
        return {"Messages": found} if found else {}

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803
        self._call()
        size = sum(len(json.dumps(entry)) for entry in Entries)
        assert size < 262_144, "SQS refuses a larger request"
        sent = [
            {"Id": one["Id"], "MessageId": self.add(QueueUrl, one["MessageBody"], one.get("MessageAttributes", {}))}
            for one in Entries
        ]
        return {"Successful": sent}

    def delete_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803
        self._call()
        for entry in Entries:
            self.messages[QueueUrl].pop(entry["ReceiptHandle"], None)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803
        assert QueueUrl == DEAD
        self.hidden -= {entry["ReceiptHandle"] for entry in Entries}
        return {"Successful": []}


Pipelines = Callable[[], tuple[MemoryS3, MemoryDynamoDB, Pipeline]]


@pytest.fixture
def pipelines(tiny_bundle: Path) -> Pipelines:
    """Makes S3 and DynamoDB in memory, and the function's pipeline on them."""

    def make() -> tuple[MemoryS3, MemoryDynamoDB, Pipeline]:
        s3, dynamodb = MemoryS3(), MemoryDynamoDB()
        clients = Clients(s3=cast("Any", s3), dynamodb=cast("Any", dynamodb))
        settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
        return s3, dynamodb, Pipeline(settings, load_encoder(tiny_bundle), clients, Store(clients, settings))

    return make


@pytest.mark.parametrize(
    ("at", "number_of_letters", "padding"),
    [((1, 20, 41), 1000, 0), ((2, 33, 60), 1000, 0), ((3, 4, 90), 1000, 0), ((2, 33, 60), 100, 100_000)],
)
def test_every_image_is_right_in_the_end(
    serve: Serve, pipelines: Pipelines, at: tuple[int, ...], number_of_letters: int, padding: int
) -> None:
    sqs = MemorySqs(interrupts=set(at))
    s3, dynamodb, pipeline = pipelines()
    for number, kind in zip(range(number_of_letters), itertools.cycle(KINDS), strict=False):
        s3.put(UPLOADS, f"{number}", PHOTOS[number % 3], archived=False)
        attributes = OF_EVENTBRIDGE if kind == "EventBridge's own letter" else {}
        sqs.add(DEAD, json.dumps({**KINDS[kind](f"{number}"), "padding": "x" * padding}), attributes)
    stack = DeployedStack(
        StackRef(), boto3.Session("test", "test", region_name="us-east-1"), None, {QUEUE: QUEUED, DEAD_LETTERS: DEAD}
    )
    stack.__dict__["sqs"] = sqs
    for _ in at:
        with pytest.raises(KeyboardInterrupt):
            redrive(stack, None)
    redrive(stack, None)
    assert sqs.messages[DEAD] == {}
    kept = [one for one in sqs.messages[QUEUED].values() if one["MessageAttributes"]]
    assert all(one["MessageAttributes"] == OF_EVENTBRIDGE for one in kept)

    for message in sqs.messages[QUEUED].values():
        record = {"messageId": message["MessageId"], "eventSource": "aws:sqs", "body": message["Body"]}
        assert serve({"Records": [record]}, None, pipeline) == {"batchItemFailures": []}
    assert len(dynamodb.items) == number_of_letters
    for number in range(number_of_letters):
        item = dynamodb.items[f"s3://{UPLOADS}/{number}"]
        current = s3.current(UPLOADS, f"{number}")
        assert current
        assert (item["status"]["S"], item["etag"]["S"]) == ("success", current.etag.strip('"'))
    assert len(sqs.messages[QUEUED]) <= number_of_letters + 10 * len(at), "an interruption repeats one batch at most"
