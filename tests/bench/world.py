"""A local AWS for the benchmarks: buckets and a table on it, and meters before it, all off the measured core."""

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

UPLOADS, RESULTS, TABLE = "bench-uploads", "bench-results", "bench-vectors"

# What S3 and DynamoDB take to answer within a region, about.
LATENCY_MS = 15

_EVENTS = ROOT / "events"
_numbers = count(1)


@dataclass(frozen=True)
class World:
    """A running local AWS.

    Attributes:
        direct: its own endpoint; nothing is counted.
        near: the endpoint with a meter, without latency.
        far: the endpoint with a meter and `LATENCY_MS` a call.
        sink: forgets what is stored; for many thousands of calls.
    """

    direct: str
    near: str
    far: str
    sink: str

    def environment(self, endpoint: str) -> dict[str, str]:
        """What the function finds in its environment."""
        return {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "RESULTS_BUCKET": RESULTS,
            "TABLE_NAME": TABLE,
        }


def offline_environment() -> dict[str, str]:
    """The same, where nothing is called."""
    return World("", "", "", "").environment(f"http://{HOST}:9")


@contextmanager
def world(folder: Path, core: int) -> Iterator[World]:
    """Run a local AWS with its meters on a core of their own while inside.

    Raises:
        OperatorError: it does not start.
    """
    with local_aws(folder / "aws.log") as aws, ExitStack() as stack:
        for task in Path(f"/proc/{aws.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})
        upstream = aws.endpoint.rpartition(":")[2]
        near, far = (
            stack.enter_context(_server("tests.bench.meter", core, upstream, str(latency)))
            for latency in (0, LATENCY_MS)
        )
        sink = stack.enter_context(_server("tests.bench.sink", core))
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
def _server(module: str, core: int, *arguments: str) -> Iterator[str]:
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


def counted(endpoint: str, *, anew: bool = False) -> dict[str, dict[str, int]]:
    """What a meter has counted, by operation."""
    request = urllib.request.Request(f"{endpoint}/_meter", method="DELETE" if anew else "GET")  # noqa: S310 - ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
    return found


def upload(endpoint: str, data: bytes, how_many: int = 1) -> list[str]:
    """Put a file under keys that were never used before: a repeat would be told apart, and cost less or more."""
    s3 = session().client("s3", endpoint_url=endpoint, config=CONFIG)
    keys = [f"pictures/{os.getpid()}-{next(_numbers):06}.jpg" for _ in range(how_many)]
    for key in keys:
        s3.put_object(Bucket=UPLOADS, Key=key, Body=data)
    return keys


def s3_event(key: str) -> dict[str, Any]:
    """S3's own notification of an upload, as `events/` has it."""
    event: dict[str, Any] = json.loads((_EVENTS / "s3-put-2.6.json").read_bytes())
    entity = event["Records"][0]["s3"]
    entity["bucket"] |= {"name": UPLOADS, "arn": f"arn:aws:s3:::{UPLOADS}"}
    entity["object"] |= {"key": key, "sequencer": f"{next(_numbers):016X}"}
    return event


def sqs_event(keys: Sequence[str]) -> dict[str, Any]:
    """One batch of SQS messages, with a notification in each."""
    message: Mapping[str, Any] = json.loads((_EVENTS / "sqs-s3.json").read_bytes())["Records"][0]
    records = [{**message, "messageId": f"message-{key}", "body": json.dumps(s3_event(key))} for key in keys]
    return {"Records": records}
