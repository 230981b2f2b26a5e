"""A local AWS for the benchmarks, with buckets, a table and counting proxies, all on another core than the measured."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from infra.common.local_session import ACCESS_KEY, CONFIG, REGION, session
from infra.common.paths import ROOT
from infra.local.server import HOST, local_aws

UPLOADS, RESULTS, TABLE, VECTORS = "bench-uploads", "bench-results", "bench-vectors", "bench-indexes"

# A typical latency of S3 and DynamoDB within a region.
LATENCY_MS = 15

_EVENTS = ROOT / "events"
_numbers = count(1)


@dataclass(frozen=True)
class World:
    """A running local AWS.

    Attributes:
        direct: its own endpoint, where calls are not counted.
        near: the endpoint of a counting proxy without latency.
        far: the endpoint of a counting proxy that adds `LATENCY_MS` to each call.
        sink: the endpoint of `tests.bench.sink`.
    """

    direct: str
    near: str
    far: str
    sink: str

    def environment(self, endpoint: str) -> dict[str, str]:
        """The function's environment variables."""
        return {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "RESULTS_BUCKET": RESULTS,
            "TABLE_NAME": TABLE,
            "VECTOR_BUCKET": VECTORS,
        }


def offline_environment() -> dict[str, str]:
    """The function's environment variables when it makes no AWS calls."""
    return World("", "", "", "").environment(f"http://{HOST}:9")


@contextmanager
def world(folder: Path, core: int) -> Iterator[World]:
    """Run a local AWS and its proxies on a core within the block.

    Raises:
        OperatorError: it did not start.
    """
    with local_aws(folder / "aws.log") as aws, ExitStack() as stack:
        for task in Path(f"/proc/{aws.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})
        upstream = aws.endpoint.rpartition(":")[2]
        near, far = (
            stack.enter_context(server("tests.bench.counting_proxy", core, upstream, str(latency)))
            for latency in (0, LATENCY_MS)
        )
        sink = stack.enter_context(server("tests.bench.sink", core))
        s3 = session().client("s3", endpoint_url=aws.endpoint, config=CONFIG)
        for bucket in (UPLOADS, RESULTS):
            s3.create_bucket(Bucket=bucket)
        session().client("dynamodb", endpoint_url=aws.endpoint, config=CONFIG).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield World(aws.endpoint, near, far, sink)


@contextmanager
def server(module: str, core: int, *arguments: str) -> Iterator[str]:
    """Run a server of the benchmarks on a core within the block; yields its endpoint."""
    with socket.create_server((HOST, 0)) as listener:
        port, descriptor = listener.getsockname()[1], listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(descriptor), *arguments],
            stdin=subprocess.PIPE,
            pass_fds=[descriptor],
            cwd=ROOT,
        )
    try:
        os.sched_setaffinity(process.pid, {core})
        yield f"http://{HOST}:{port}"
    finally:
        process.kill()
        process.communicate()


def counted(endpoint: str, *, reset: bool = False) -> dict[str, dict[str, int]]:
    """The counts of a counting proxy, by operation; with `reset` it starts again from 0."""
    method = "DELETE" if reset else "GET"
    request = urllib.request.Request(f"{endpoint}/_counts", method=method)  # noqa: S310 - our own server
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
    return found


def upload(endpoint: str, data: bytes, how_many: int = 1) -> list[str]:
    """Upload a file under new keys, because the function treats a repeated event differently."""
    s3 = session().client("s3", endpoint_url=endpoint, config=CONFIG)
    keys = [f"pictures/{os.getpid()}-{next(_numbers):06}.jpg" for _ in range(how_many)]
    for key in keys:
        s3.put_object(Bucket=UPLOADS, Key=key, Body=data)
    return keys


def s3_event(key: str) -> dict[str, Any]:
    """S3's notification of an upload, from `events/`."""
    event: dict[str, Any] = json.loads((_EVENTS / "s3-put-2.6.json").read_bytes())
    entity = event["Records"][0]["s3"]
    entity["bucket"] |= {"name": UPLOADS, "arn": f"arn:aws:s3:::{UPLOADS}"}
    entity["object"] |= {"key": key, "sequencer": f"{next(_numbers):016X}"}
    return event


def sqs_event(keys: Sequence[str]) -> dict[str, Any]:
    """A batch of SQS messages, each with one notification."""
    message: Mapping[str, Any] = json.loads((_EVENTS / "sqs-s3.json").read_bytes())["Records"][0]
    records = [{**message, "messageId": f"message-{key}", "body": json.dumps(s3_event(key))} for key in keys]
    return {"Records": records}
