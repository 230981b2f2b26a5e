"""Dead letters, with an SQS that moves them by itself (no emulator does), and with one that does not."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import orjson
import pytest

from infra.common.errors import OperatorError
from infra.operate.account import DEAD_LETTERS, QUEUE, Account, Where
from infra.operate.dead_letters import peek, redrive


class Queues(ThreadingHTTPServer):
    """Answers as SQS documents it: a task that is asked about a few times and is then done."""

    def __init__(self, ending: dict[str, Any], *, running: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ending = ending
        self.running = running
        self.earlier: list[dict[str, Any]] = []
        self.late = 0
        self.asked = 0
        self.started: list[dict[str, Any]] = []

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
        assert action == "ListMessageMoveTasks"
        if not self.started and not self.running:
            return {"Results": self.earlier}
        if self.started and self.late:
            self.late -= 1
            return {"Results": self.earlier}
        self.asked += 1
        running = {"TaskHandle": "handle", "Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 3}
        return {"Results": [running if self.asked < (3 if self.running else 2) else self.ending]}


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

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        pass


DONE = {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 7, "ApproximateNumberOfMessagesToMove": 7}


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.operate.dead_letters._LOOK_SECONDS", 0.01)


def serving(queues: Queues) -> Iterator[Account]:
    threading.Thread(target=queues.serve_forever, daemon=True).start()
    try:
        endpoint = f"http://127.0.0.1:{queues.server_address[1]}"
        known = {QUEUE: f"{endpoint}/1/uploads", DEAD_LETTERS: f"{endpoint}/1/dead"}
        yield Account(Where(), boto3.Session("test", "test", region_name="us-east-1"), endpoint, known)
    finally:
        queues.shutdown()
        queues.server_close()


def test_sqs_moves_the_letters_where_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    for account in serving(queues):
        redrive(account, 50)
    assert queues.started == [
        {
            "SourceArn": "arn:aws:sqs:us-east-1:1:dead",
            "DestinationArn": "arn:aws:sqs:us-east-1:1:uploads",
            "MaxNumberOfMessagesPerSecond": 50,
        }
    ]
    assert "7 dead letters are in the function's queue again" in capsys.readouterr().out


def test_an_earlier_move_is_not_taken_for_ours(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    queues.earlier = [{"Status": "FAILED", "FailureReason": "long ago", "StartedTimestamp": 1}]
    queues.late = 2
    for account in serving(queues):
        redrive(account, None)
    assert "7 dead letters are in the function's queue again" in capsys.readouterr().out


def test_a_move_that_is_not_on_the_list_yet_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=False)
    queues.late = 2
    for account in serving(queues):
        redrive(account, None)
    assert "7 dead letters" in capsys.readouterr().out


def test_a_move_that_runs_already_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    queues = Queues(DONE, running=True)
    for account in serving(queues):
        redrive(account, None)
    assert queues.started == []
    assert "7 dead letters" in capsys.readouterr().out


def test_a_move_that_fails_says_why() -> None:
    queues = Queues({"Status": "FAILED", "FailureReason": "AccessDenied"}, running=False)
    for account in serving(queues):
        with pytest.raises(OperatorError, match="SQS stopped after 0 letters: AccessDenied"):
            redrive(account, None)


class ByHand:
    """moto's SQS, which knows no tasks, as AWS says so."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def list_message_move_tasks(self, **_: Any) -> Any:
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "InvalidAction", "Message": ""}}, "ListMessageMoveTasks")


@pytest.fixture
def letters(account: Account) -> Account:
    """Twelve dead letters, one of them with attributes of its sender's."""
    by_hand = replace(account)
    by_hand.__dict__["sqs"] = ByHand(account.sqs)
    for number in range(12):
        attributes: Any = {"trace": {"StringValue": "abc", "DataType": "String"}} if number == 3 else {}
        account.sqs.send_message(
            QueueUrl=account.dead_letter_queue_url, MessageBody=f"letter {number}", MessageAttributes=attributes
        )
    return by_hand


def all_of(account: Account, url: str) -> list[Any]:
    found: list[Any] = []
    while some := account.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=60
    ).get("Messages"):
        found += some
    return found


def test_letters_are_moved_by_hand_where_sqs_cannot(letters: Account, capsys: pytest.CaptureFixture[str]) -> None:
    redrive(letters, None)
    assert all_of(letters, letters.dead_letter_queue_url) == []
    moved = all_of(letters, letters.queue_url)
    assert sorted(message["Body"] for message in moved) == sorted(f"letter {number}" for number in range(12))
    (kept,) = [message for message in moved if message["Body"] == "letter 3"]
    assert kept["MessageAttributes"]["trace"]["StringValue"] == "abc"
    assert "12 dead letters are in the function's queue again" in capsys.readouterr().out


class Stops(Exception):  # noqa: N818 - it stands for a kill
    """As sudden as a kill."""


def test_a_redrive_that_is_cut_short_loses_nothing(letters: Account) -> None:
    real = letters.sqs

    class Cut(ByHand):
        def delete_message_batch(self, **_: Any) -> Any:
            raise Stops

    letters.__dict__["sqs"] = Cut(real)
    with pytest.raises(Stops):
        redrive(letters, None)
    letters.__dict__["sqs"] = real
    moved = {message["Body"] for message in all_of(letters, letters.queue_url)}
    queue = letters.sqs.get_queue_attributes(QueueUrl=letters.dead_letter_queue_url, AttributeNames=["All"])
    still = int(queue["Attributes"]["ApproximateNumberOfMessages"])
    held = int(queue["Attributes"]["ApproximateNumberOfMessagesNotVisible"])
    assert len(moved) == 10
    assert still + held == 12


def test_looking_at_letters_leaves_them_there(letters: Account) -> None:
    for _ in range(2):
        assert len(peek(letters, 100)) == 12
    assert len(peek(letters, 5)) == 5
    assert len(all_of(letters, letters.dead_letter_queue_url)) == 12
