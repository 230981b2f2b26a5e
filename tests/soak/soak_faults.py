"""Uploads through a proxy that injects AWS faults: in the end every item must be correct.

python -m tests.soak.soak_faults [--uploads 1000]

The uploads and every call of the function go through the proxy. About one call in ten is throttled, fails with 5xx, is
dropped before it arrives, or is executed with a truncated response. Sometimes all calls fail for a few seconds. The
dead-letter queue must contain exactly the messages that can never succeed.
"""

import argparse
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import numpy.typing as npt
import orjson
from botocore.config import Config
from rich.console import Console

from handler.images.decode import decode
from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder, load_encoder
from infra.bake.reuse import bundle_for
from infra.common.items import plain
from infra.common.local_session import CONFIG, session
from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from infra.local.progress import progress
from infra.local.server import HOST, local_aws
from infra.local.stack import deploy
from tests.support.functions import unqualified
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONTENTS = 40
DENIED = "may-not-be-read"
OUTAGE_SECONDS, OUTAGE_CODE = 6.0, "ServiceUnavailable"
# Much shorter and fewer than in the template, so that messages that can never succeed become dead letters soon. Long
# enough for the function to fail a whole batch during an outage.
VISIBILITY_SECONDS = 20
RECEIVES = 5
STALL_SECONDS = 240.0

_THROTTLED = {"code": "SlowDown", "status": 503}
_BROKEN = {"code": "InternalError", "status": 500}
_PROXY_SECONDS = 30.0


def rules() -> list[dict[str, Any]]:
    """The proxy's rules in the order of their evaluation, each with its probability."""
    table = {"service": "dynamodb"}
    store = {"service": "s3"}
    reads = {"service": "s3", "operation": "GetObject"}
    return [
        {**reads, "resource": DENIED, "error": {"code": "AccessDenied", "status": 403}},
        {**store, "probability": 0.03, "error": _THROTTLED},
        {**store, "probability": 0.02, "error": _BROKEN},
        {**store, "probability": 0.02, "reset": True},
        {**reads, "probability": 0.02, "response": {"abort_frac": 0.5}},
        {**reads, "probability": 0.01, "response": {"truncate_frac": 0.5}},
        {**table, "probability": 0.03, "error": {"code": "ProvisionedThroughputExceededException"}},
        {**table, "probability": 0.01, "error": {"code": "ThrottlingException"}},
        {**table, "probability": 0.02, "error": {"code": "InternalServerError"}},
        {**table, "probability": 0.02, "reset": True},
        {**table, "probability": 0.02, "response": {"abort_bytes": 0}},
        {**table, "probability": 0.01, "response": {"truncate_frac": 0.5}},
    ]


@dataclass(frozen=True)
class FaultProxy:
    """A running fault proxy."""

    endpoint: str

    def stats(self) -> dict[str, Any]:
        """The proxy's counts of requests and faults."""
        return dict(self._ask("GET", "stats").json())

    def fail_everything(self, seconds: float) -> None:
        """Start an outage."""
        broken = {"error": {"code": OUTAGE_CODE, "status": 503}, "ttl_s": seconds}
        self._ask("PATCH", "rules", [{"service": service, **broken} for service in ("s3", "dynamodb")])

    def _ask(self, method: str, what: str, body: object = None) -> httpx.Response:
        url = f"{self.endpoint}/_microburst/{what}"
        with httpx.Client(trust_env=False) as client:
            return client.request(method, url, json=body).raise_for_status()


@contextmanager
def fault_proxy(upstream: str, faults: Sequence[Mapping[str, Any]]) -> Iterator[FaultProxy]:
    """Run a proxy in front of an endpoint for the duration of the block."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(folder) / "faults.yaml"
        config.write_text(json.dumps({"rules": list(faults)}))  # JSON is YAML
        command = [sys.executable, "-m", "tests.soak.fault_proxy", "--host", HOST, "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--upstream", upstream, "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        try:
            proxy = FaultProxy(f"http://{HOST}:{port}")
            assert eventually(lambda: _answers(proxy), _PROXY_SECONDS), "the fault proxy did not start"
            yield proxy
        finally:
            process.kill()
            process.wait()


def _answers(proxy: FaultProxy) -> bool:
    with suppress(httpx.TransportError):
        proxy.stats()
        return True
    return False


@dataclass(frozen=True)
class Expected:
    """The uploads of a key, and its expected result.

    Attributes:
        earlier: a file that is uploaded first, or None.
        last: the file that is uploaded last; None if the key is deleted instead.
        error_code: the item's error code; None if the file is embedded.
        vector: the item's vector, (embedding_dim,) float32, normalised; None if the file is not embedded.
    """

    earlier: bytes | None
    last: bytes | None
    error_code: str | None
    vector: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class FaultsResult:
    """The result of a run.

    Attributes:
        uploads: number of keys.
        wrong: a line for each key with a wrong item, JSON or vector.
        invalid: sent messages that can never succeed.
        dead: messages in the dead-letter queue.
        requests: number of calls through the proxy.
        faults: number of injected faults by kind.
    """

    uploads: int
    wrong: tuple[str, ...]
    invalid: Counter[str]
    dead: Counter[str]
    requests: int
    faults: Counter[str]

    @property
    def is_correct(self) -> bool:
        """Whether every key is correct and exactly the invalid messages are dead letters."""
        return not self.wrong and self.invalid == self.dead

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""
        yield from self.wrong[:20]
        failed = self.faults.total()
        outage = self.faults[f"error:{OUTAGE_CODE}"]
        yield f"{failed} of {self.requests} calls failed ({failed / self.requests:.1%}; {outage} of them in outages):"
        yield from (f"  {count:5} x {what}" for what, count in self.faults.most_common())
        yield f"{self.uploads - len(self.wrong)} of {self.uploads} uploads are correct"
        missing, unexpected = self.invalid - self.dead, self.dead - self.invalid
        yield (
            f"dead-letter queue: {self.dead.total()} messages after {self.invalid.total()} invalid ones were sent; "
            f"{missing.total()} missing, {unexpected.total()} unexpected"
        )


def run(uploads: int, *, outages: int, visibility: int, watch: Callable[[int, int], None]) -> FaultsResult:
    """Deploy, upload, wait, compare.

    Args:
        uploads: number of keys; some are overwritten, some deleted, some are not images.
        outages: how many times all calls fail for a few seconds.
        visibility: the queue's visibility timeout in seconds.
        watch: called repeatedly with the number of uploaded keys and the number of correct ones.
    """
    bundle = bundle_for("efficientnet-lite0")
    plan = _plan(uploads, load_encoder(bundle))
    with tempfile.TemporaryDirectory() as folder, local_aws(Path(folder) / "aws.log") as aws:
        stack = deploy(aws, bundle)
        with fault_proxy(aws.endpoint, rules()) as proxy, ThreadPoolExecutor(4) as pool:
            _send_through(stack, proxy, visibility)
            invalid = _send_invalid_messages(stack)
            s3 = _s3_with_retries(proxy)
            sending = [pool.submit(_upload, s3, stack, key, expected) for key, expected in plan.items()]
            waiting = dict(plan)
            last_progress = time.monotonic()
            while waiting and time.monotonic() - last_progress < STALL_SECONDS:
                aws.check_alive()
                correct = [key for key, expected in waiting.items() if _error_of(stack, key, expected) is None]
                waiting = {key: expected for key, expected in waiting.items() if key not in set(correct)}
                sent = sum(future.done() for future in sending)
                watch(sent, uploads - len(waiting))
                last_progress = time.monotonic() if correct or sent < uploads else last_progress
                if outages and uploads - len(waiting) > 100:
                    outages -= 1
                    proxy.fail_everything(OUTAGE_SECONDS)
                    time.sleep(OUTAGE_SECONDS)
            for future in sending:
                future.result()
            assert eventually(lambda: _is_empty(stack), STALL_SECONDS), "the queue does not become empty"
            stats = proxy.stats()
        errors = [(key, _error_of(stack, key, expected)) for key, expected in plan.items()]
        dead = _receive_all(stack)
    faults: Counter[str] = Counter()
    for each in stats["by_rule"]:
        faults[each["describe"]] += each["fired"]
    wrong = tuple(f"{key}: {error}" for key, error in errors if error is not None)
    return FaultsResult(uploads, wrong, Counter(invalid), Counter(dead), stats["requests"]["total"], faults)


def _plan(uploads: int, encoder: Encoder) -> dict[str, Expected]:
    kinds = ("JPEG", "PNG", "WEBP", "GIF")
    files = [encoded(picture(200 + 7 * seed, 150, seed=seed), kinds[seed % 4]) for seed in range(CONTENTS)]
    vectors = [_vector(file, encoder) for file in files]

    def expected(number: int) -> Expected:
        at = number % CONTENTS
        other = files[at - 1]
        match number % 20:
            case 0:
                return Expected(None, b"no picture", "unsupported_format", None)
            case 1:
                return Expected(None, files[at][: len(files[at]) // 2], "corrupt_image", None)
            case 2:
                return Expected(other, files[at], None, vectors[at])
            case 3:
                return Expected(other, None, None, None)
        return Expected(None, files[at], None, vectors[at])

    return {f"a folder/{number:04}+1.jpg": expected(number) for number in range(uploads)}


def _vector(file: bytes, encoder: Encoder) -> npt.NDArray[np.float32]:
    vector = encoder.embed(to_tensor(decode(file, 10**8).image, encoder.spec.preprocess))
    normalised: npt.NDArray[np.float32] = vector / np.linalg.norm(vector)
    return normalised


def _send_through(stack: Stack, proxy: FaultProxy, visibility: int) -> None:
    """Make the function call AWS through the proxy, and move failed messages to the dead-letter queue sooner.

    Sets the variables of single services, because the local AWS sets AWS_ENDPOINT_URL to its own address. First waits
    for the bucket's test events: one that a worker receives before the change keeps the old, long visibility timeout.
    """
    assert eventually(lambda: _is_empty(stack)), "the function does not receive the bucket's test events"
    settings = stack.lambda_.get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
    through = {
        **settings,
        "AWS_ENDPOINT_URL_S3": proxy.endpoint,
        "AWS_ENDPOINT_URL_DYNAMODB": proxy.endpoint,
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",  # nothing listens there, so the queue's own timeout applies
    }
    stack.lambda_.update_function_configuration(
        FunctionName=unqualified(stack.function), Environment={"Variables": through}
    )
    described = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["RedrivePolicy"])
    redrive = {**json.loads(described["Attributes"]["RedrivePolicy"]), "maxReceiveCount": RECEIVES}
    attributes: Any = {"VisibilityTimeout": str(visibility), "RedrivePolicy": json.dumps(redrive)}
    stack.sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes=attributes)


def _send_invalid_messages(stack: Stack) -> list[str]:
    """Send messages that can never succeed: not JSON, not an event, and an image without read permission."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": DENIED}, "object": {"key": "secret.jpg", "sequencer": "1A"}},
    }
    bodies = ["no JSON {", '{"hello": "world"}', json.dumps({"Records": [record]}), "[]", "null"]
    for body in bodies:
        stack.sqs.send_message(QueueUrl=stack.queue_url, MessageBody=body)
    return bodies


def _s3_with_retries(proxy: FaultProxy) -> "S3Client":
    config = CONFIG.merge(Config(retries={"mode": "standard", "max_attempts": 20}))
    client: S3Client = session().client("s3", endpoint_url=proxy.endpoint, config=config)
    return client


def _upload(s3: "S3Client", stack: Stack, key: str, expected: Expected) -> None:
    for body in (expected.earlier, expected.last):
        if body is not None:
            s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=body)
    if expected.last is None:
        s3.delete_object(Bucket=stack.uploads_bucket, Key=key)


def _error_of(stack: Stack, key: str, expected: Expected) -> str | None:
    """What is wrong with a key's item, JSON or vector; None if all is correct."""
    source = stack.source(key)
    found = stack.dynamodb.get_item(TableName=stack.table, Key={"source": {"S": source}}, ConsistentRead=True)
    item = plain(found["Item"]) if "Item" in found else {}
    results = _results(stack, key)
    if expected.last is None:
        correct = item.get("status") == "deleted" and not results
        return None if correct else f"deleted, but its item is {item.get('status')}, with {len(results)} results"
    etag = hashlib.md5(expected.last, usedforsecurity=False).hexdigest()
    if (item.get("etag"), item.get("error_code")) != (etag, expected.error_code):
        return f"the item has status {item.get('status')}, code {item.get('error_code')}, ETag {item.get('etag')}"
    result = results.get(item["result"])
    if result is None or (result["etag"], result["error_code"]) != (etag, expected.error_code):
        return f"the item's result JSON is {result}"
    if expected.vector is None:
        return None
    both = item["embedding"], np.array(result["embedding"]["embedding"], dtype=np.float32)
    close = [bool(np.allclose(vector, expected.vector, rtol=0, atol=1e-6)) for vector in both]
    return None if all(close) else f"wrong vectors in the item or the JSON: {close}"


def _results(stack: Stack, key: str) -> dict[str, dict[str, Any]]:
    prefix = f"{stack.uploads_bucket}/{key}/"
    listing = stack.s3.list_objects_v2(Bucket=stack.results_bucket, Prefix=prefix).get("Contents", [])
    bodies = {entry["Key"]: _read(stack, entry["Key"]) for entry in listing}
    return {f"s3://{stack.results_bucket}/{name}": orjson.loads(body) for name, body in bodies.items()}


def _read(stack: Stack, key: str) -> bytes:
    return stack.s3.get_object(Bucket=stack.results_bucket, Key=key)["Body"].read()


def _is_empty(stack: Stack) -> bool:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=names)["Attributes"]
    return all(counts[name] == "0" for name in names)


def _receive_all(stack: Stack) -> list[str]:
    """The bodies of all dead letters."""
    bodies: list[str] = []
    while True:
        answer = stack.sqs.receive_message(QueueUrl=stack.dead_letter_queue_url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        if not messages:
            return bodies
        bodies += [message["Body"] for message in messages]


def main() -> int:
    """Run the uploads; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Run uploads through a proxy that injects AWS faults.")
    parser.add_argument("--uploads", type=int, default=1_000)
    uploads = parser.parse_args().uploads
    with progress(Console(highlight=False), uploads) as watch:
        result = run(uploads, outages=2, visibility=VISIBILITY_SECONDS, watch=watch)
    sys.stdout.write("\n".join(result.lines()) + "\n")
    return 0 if result.is_correct else 1


if __name__ == "__main__":
    sys.exit(main())
