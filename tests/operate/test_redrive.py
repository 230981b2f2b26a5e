"""Dead letters, with an SQS that supports message move tasks (no emulator does), and with one that does not."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import orjson
import pytest

from infra.common.errors import OperatorError
from infra.operate.dead_letters import peek, redrive
from infra.operate.stack import DEAD_LETTERS, QUEUE, DeployedStack, StackRef


class Queues(ThreadingHTTPServer):
    """A fake SQS with message move tasks: a task is running for a few polls and then has a final status.

    Attributes:
        final: the task as it is listed at the end.
        running: whether a task was running from the start.
        previous: tasks that ended before.
        late: polls before a started task is listed.
        polls: number of polls of the task.
        started: requests that started a task.
        letters: messages that no task moves.
        returns: whether messages that are sent come back at once, with their new id.
        sent: the bodies of messages that were sent.
    """

    def __init__(self, final: dict[str, Any], *, running: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.final = final
        self.running = running
        self.previous: list[dict[str, Any]] = []
        self.late = 0
        self.polls = 0
        self.started: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.returns = False
        self.sent: list[str] = []

    def _answer_for_messages(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "ReceiveMessage":
                return {"Messages": self.letters[:10]} if self.letters else {}
            case "SendMessageBatch":
                return self._send(request["Entries"])
            case "DeleteMessageBatch":
                return self._delete(request["Entries"])
        return {"Successful": []}

    def _send(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        accepted = []
        for entry in entries:
            self.sent.append(entry["MessageBody"])
            name = f"new {len(self.sent)}"
            accepted.append({"Id": entry["Id"], "MessageId": name, "MD5OfMessageBody": md5(entry["MessageBody"])})
            if self.returns:
                self.letters.append({"MessageId": name, "ReceiptHandle": name, "Body": entry["MessageBody"]})
        return {"Successful": accepted}

    def _delete(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        handles = {entry["ReceiptHandle"] for entry in entries}
        self.letters = [letter for letter in self.letters if letter["ReceiptHandle"] not in handles]
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        if action == "GetQueueAttributes":
            name = request["QueueUrl"].rpartition("/")[2]
            return {
                "Attributes": {
                    "QueueArn": f"arn:aws:sqs:us-east-1:1:{name}",
                    "ApproximateNumberOfMessages": "7",
                    "ApproximateNumberOfMessagesNotVisible": "0",
                }
            }
        if action == "StartMessageMoveTask":
            self.started.append(request)
            return {"TaskHandle": "handle"}
        if action in {"ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}:
            return self._answer_for_messages(action, request)
        assert action == "ListMessageMoveTasks"
        if not self.started and not self.running:
            return {"Results": self.previous}
        if self.started and self.late:
            self.late -= 1
            return {"Results": self.previous}
        self.polls += 1
        running = {"TaskHandle": "handle", "Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 3}
        return {"Results": [running if self.polls < (3 if self.running else 2) else self.final]}


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Queues

    def do_POST(self) -> None:
        request = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        body = orjson.dumps(self.server.answer(self.headers["x-amz-target"].rpartition(".")[2], request))
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


DONE = {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 7, "ApproximateNumberOfMessagesToMove": 7}


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.operate.dead_letters._POLL_SECONDS", 0.01)


def serving(queues: Queues) -> Iterator[DeployedStack]:
    threading.Thread(target=queues.serve_forever, daemon=True).start()
    try:
        endpoint = f"http://127.0.0.1:{queues.server_address[1]}"
        outputs = {QUEUE: f"{endpoint}/1/uploads", DEAD_LETTERS: f"{endpoint}/1/dead"}
        yield DeployedStack(StackRef(), boto3.Session("test", "test", region_name="us-east-1"), endpoint, outputs)
    finally:
        queues.shutdown()
        queues.server_close()


def test_sqs_moves_the_messages_if_it_supports_move_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    for stack in serving(queues):
        redrive(stack, 50)
    assert queues.started == [
        {
            "SourceArn": "arn:aws:sqs:us-east-1:1:dead",
            "DestinationArn": "arn:aws:sqs:us-east-1:1:uploads",
            "MaxNumberOfMessagesPerSecond": 50,
        }
    ]
    assert "Moved 7 dead letters to the function's queue." in capsys.readouterr().out


def test_a_previous_task_is_not_mistaken_for_ours(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    queues.previous = [{"Status": "FAILED", "FailureReason": "long ago", "StartedTimestamp": 1}]
    queues.late = 2
    for stack in serving(queues):
        redrive(stack, None)
    assert "Moved 7 dead letters to the function's queue." in capsys.readouterr().out


def test_a_task_that_is_not_listed_yet_is_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    queues.late = 2
    for stack in serving(queues):
        redrive(stack, None)
    assert "7 dead letters" in capsys.readouterr().out


def test_a_task_that_is_already_running_is_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=True)
    for stack in serving(queues):
        redrive(stack, None)
    assert queues.started == []
    assert "7 dead letters" in capsys.readouterr().out


LETTERS = [{"MessageId": f"{n}", "ReceiptHandle": f"handle {n}", "Body": f"letter {n}"} for n in range(12)]


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_what_a_task_leaves_is_moved_by_hand(capsys: pytest.CaptureFixture[str], status: str) -> None:
    """SQS does not move letters of Lambda and EventBridge, and a task may fail after some messages."""
    reason = {"FailureReason": "AWS.SimpleQueueService.NonExistentQueue"} if status == "FAILED" else {}
    queues = Queues({"Status": status, "ApproximateNumberOfMessagesMoved": 4, **reason}, running=False)
    queues.letters = list(LETTERS)
    for stack in serving(queues):
        assert redrive(stack, None) == {"moved": 16, "held": 0}
    assert queues.letters == []
    assert queues.sent == [f"letter {n}" for n in range(12)]
    assert "Moved 16 dead letters to the function's queue." in capsys.readouterr().out


def test_a_letter_that_returns_is_not_moved_again() -> None:
    queues = Queues(DONE, running=False)
    queues.letters, queues.returns = list(LETTERS), True
    for stack in serving(queues):
        assert redrive(stack, None)["moved"] == 7 + 12
    assert len(queues.sent) == 12
    assert len(queues.letters) == 12


def test_a_cancelled_task_is_an_error() -> None:
    queues = Queues({"Status": "CANCELLED", "ApproximateNumberOfMessagesMoved": 2}, running=False)
    queues.letters = list(LETTERS)
    for stack in serving(queues):
        with pytest.raises(OperatorError, match="SQS stopped after moving 2 messages, because the task was cancelled"):
            redrive(stack, None)
    assert queues.sent == []


class SqsWithoutMoveTasks:
    """moto's SQS client, with AWS's error code for an unsupported operation."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def list_message_move_tasks(self, **_: Any) -> Any:
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "InvalidAction", "Message": ""}}, "ListMessageMoveTasks")


@pytest.fixture
def letters(stack: DeployedStack) -> DeployedStack:
    """Twelve dead letters, one of them with message attributes."""
    without_move_tasks = replace(stack)
    without_move_tasks.__dict__["sqs"] = SqsWithoutMoveTasks(stack.sqs)
    for number in range(12):
        attributes: Any = {"trace": {"StringValue": "abc", "DataType": "String"}} if number == 3 else {}
        stack.sqs.send_message(
            QueueUrl=stack.dead_letter_queue_url, MessageBody=f"letter {number}", MessageAttributes=attributes
        )
    return without_move_tasks


def all_of(stack: DeployedStack, url: str) -> list[Any]:
    found: list[Any] = []
    while some := stack.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=60
    ).get("Messages"):
        found += some
    return found


def test_without_move_tasks_the_messages_are_moved_one_batch_at_a_time(
    letters: DeployedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    redrive(letters, None)
    assert all_of(letters, letters.dead_letter_queue_url) == []
    moved = all_of(letters, letters.queue_url)
    assert sorted(message["Body"] for message in moved) == sorted(f"letter {number}" for number in range(12))
    (kept,) = [message for message in moved if message["Body"] == "letter 3"]
    assert kept["MessageAttributes"]["trace"]["StringValue"] == "abc"
    assert "Moved 12 dead letters to the function's queue." in capsys.readouterr().out


class CrashError(Exception):
    """Stands in for a kill."""


def test_an_interrupted_redrive_loses_no_message(letters: DeployedStack) -> None:
    real = letters.sqs

    class CrashingSqs(SqsWithoutMoveTasks):
        def delete_message_batch(self, **_: Any) -> Any:
            raise CrashError

    letters.__dict__["sqs"] = CrashingSqs(real)
    with pytest.raises(CrashError):
        redrive(letters, None)
    letters.__dict__["sqs"] = real
    moved = {message["Body"] for message in all_of(letters, letters.queue_url)}
    queue = letters.sqs.get_queue_attributes(QueueUrl=letters.dead_letter_queue_url, AttributeNames=["All"])
    visible = int(queue["Attributes"]["ApproximateNumberOfMessages"])
    in_flight = int(queue["Attributes"]["ApproximateNumberOfMessagesNotVisible"])
    assert len(moved) == 10
    assert visible + in_flight == 12


def test_peek_leaves_the_messages_in_the_queue(letters: DeployedStack) -> None:
    for _ in range(2):
        assert len(peek(letters, 100)) == 12
    assert len(peek(letters, 5)) == 5
    assert len(all_of(letters, letters.dead_letter_queue_url)) == 12
