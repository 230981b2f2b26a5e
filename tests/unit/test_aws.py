"""Damaged answers, as a proxy may send them, and slow calls: each is a transient error."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from handler.aws.clients import make_clients
from handler.aws.objects import read_object
from handler.aws.retries import CONNECT_SECONDS, MAX_ATTEMPTS, READ_SECONDS, attempt
from handler.aws.sdk.s3 import S3
from handler.errors import RetryableError
from handler.outcomes import Status
from handler.timing import MIN_START_SECONDS, Deadline
from tests.support.loopback_aws import Response
from tests.support.pictures import encoded, picture
from tests.unit.conftest import World

PHOTO = encoded(picture())


def test_an_object_without_its_length_is_requested_again(world: World) -> None:
    world.put("a", PHOTO)
    headers = {"etag": '"a"', "connection": "close", "content-length": ""}
    with world.state.server.answering_first("GetObject", Response(200, headers, PHOTO[:99])) as calls:
        assert world.process("a").status is Status.SUCCESS
    assert len(calls) == 2


def test_half_an_object_is_read_again(world: World) -> None:
    world.put("a", PHOTO)
    headers = {"etag": '"a"', "connection": "close", "content-length": str(len(PHOTO))}
    with world.state.server.answering_first("GetObject", Response(200, headers, PHOTO[:99])) as calls:
        assert world.process("a").status is Status.SUCCESS
    assert len(calls) == 2


def test_half_an_item_is_read_again(world: World) -> None:
    world.put("a", PHOTO)
    with world.state.server.answering_first("GetItem", Response(200, {}, b'{"Item": {"sou')) as calls:
        assert world.process("a", None).status is Status.SUCCESS
    assert len(calls) > 1


def failing(calls: list[int]) -> Callable[[], None]:
    def call() -> None:
        calls.append(len(calls))
        raise RetryableError("not now")

    return call


def test_a_transient_error_is_retried_a_few_times() -> None:
    calls: list[int] = []
    with pytest.raises(RetryableError, match="not now"):
        attempt(failing(calls), Deadline(60))
    assert len(calls) == MAX_ATTEMPTS


def test_without_time_for_another_time_out_nothing_is_retried() -> None:
    calls: list[int] = []
    with pytest.raises(RetryableError, match="not now"):
        attempt(failing(calls), Deadline(READ_SECONDS))
    assert len(calls) == 1


def test_a_message_is_started_only_with_time_for_a_timeout() -> None:
    assert CONNECT_SECONDS + READ_SECONDS < MIN_START_SECONDS


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[S3]:
    """An S3 client of a server that answers its only call with `answer`."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "testing")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield make_clients().s3
    thread.join()


def test_a_silent_server_costs_one_timeout() -> None:
    done = threading.Event()

    def wait(_: socket.socket) -> None:
        done.wait(60)

    with server(wait) as s3:
        start = time.monotonic()
        with pytest.raises(RetryableError, match=r"[Tt]imed? ?out"):
            read_object(s3, "uploads", "a", 10**9, Deadline(READ_SECONDS))
        assert READ_SECONDS - 0.5 < time.monotonic() - start < READ_SECONDS + 3
        done.set()


def test_a_slow_body_ends_at_the_deadline() -> None:
    def send_slowly(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: 99000000\r\n\r\n')
        for _ in range(60):
            try:
                connection.sendall(bytes(1 << 20))
            except OSError:
                return
            time.sleep(0.5)

    with server(send_slowly) as s3:
        start = time.monotonic()
        with pytest.raises(RetryableError, match="too slowly"):
            read_object(s3, "uploads", "a", 10**9, Deadline(2))
        assert time.monotonic() - start < 6


def test_bytes_that_changed_on_the_way_are_read_again(world: World) -> None:
    world.put("a", PHOTO)
    headers = {"etag": '"a"', "x-amz-checksum-crc32": "AAAAAA=="}
    with world.state.server.answering_first("GetObject", Response(200, headers, bytes(len(PHOTO)))) as calls:
        assert world.process("a").status is Status.SUCCESS
    assert len(calls) == 2
