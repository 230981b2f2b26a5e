"""Uploads through a proxy that fails as AWS does: every item must be right in the end, and only poison may be left.

python -m tests.soak.soak_faults [--uploads 1000]

The uploads, and every call of the function, pass the proxy. About one call in ten is throttled, answered 5xx, dropped
before it arrives, or done and its answer cut short; now and then everything fails for some seconds.
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
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONTENTS = 40
DENIED = "may-not-be-read"
OUTAGE_SECONDS, OUTAGE_CODE = 6.0, "ServiceUnavailable"
# Much shorter than the template's: poison is tried five times before it is set aside. Still long enough for a worker
# to give up on a whole batch during an outage.
VISIBILITY_SECONDS = 20
STALL_SECONDS = 240.0

_THROTTLED = {"code": "SlowDown", "status": 503}
_BROKEN = {"code": "InternalError", "status": 500}
_PROXY_SECONDS = 30.0


def rules() -> list[dict[str, Any]]:
    """What the proxy does, in the order that it asks: a share of the calls of each kind."""
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
class Proxy:
    """A running fault proxy."""

    endpoint: str

    def stats(self) -> dict[str, Any]:
        """Its counts of requests and faults."""
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
def fault_proxy(upstream: str, faults: Sequence[Mapping[str, Any]]) -> Iterator[Proxy]:
    """Run a proxy before an endpoint while inside."""
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
            proxy = Proxy(f"http://{HOST}:{port}")
            assert eventually(lambda: _answers(proxy), _PROXY_SECONDS), "the fault proxy did not start"
            yield proxy
        finally:
            process.kill()
            process.wait()


def _answers(proxy: Proxy) -> bool:
    with suppress(httpx.TransportError):
        proxy.stats()
        return True
    return False


@dataclass(frozen=True)
class Expected:
    """What a key goes through, and must end as.

    Attributes:
        earlier: a file that is put there first, or None.
        last: the file that it holds in the end; None where it is deleted.
        error_code: of the item; None where it is embedded.
        vector: (embedding_dim,) float32, normalised, of the item; None where it is not embedded.
    """

    earlier: bytes | None
    last: bytes | None
    error_code: str | None
    vector: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Result:
    """What a run showed.

    Attributes:
        uploads: how many keys were uploaded.
        wrong: a line for each key whose item, JSON or vector is not what it should be.
        poison: messages put in that can never succeed.
        dead: messages found in the dead-letter queue.
        requests: calls that passed the proxy.
        faults: how many of them failed, and how.
    """

    uploads: int
    wrong: tuple[str, ...]
    poison: Counter[str]
    dead: Counter[str]
    requests: int
    faults: Counter[str]

    @property
    def is_right(self) -> bool:
        return not self.wrong and self.poison == self.dead

    def lines(self) -> Iterator[str]:
        """The run in words."""
        yield from self.wrong[:20]
        failed = self.faults.total()
        outage = self.faults[f"error:{OUTAGE_CODE}"]
        yield f"{failed} of {self.requests} calls failed ({failed / self.requests:.1%}; {outage} of them in outages):"
        yield from (f"  {count:5} x {what}" for what, count in self.faults.most_common())
        yield f"{self.uploads - len(self.wrong)} of {self.uploads} uploads are right in the end"
        lost, strays = self.poison - self.dead, self.dead - self.poison
        yield f"dead-letter queue: {self.dead.total()} messages for {self.poison.total()} of poison put in; " + (
            f"missing {lost.total()}, astray {strays.total()}" if lost or strays else "exactly those"
        )


def run(uploads: int, *, outages: int, visibility: int, watch: Callable[[int, int], None]) -> Result:
    """Deploy, upload, wait, compare.

    Args:
        uploads: number of keys; some are overwritten, some deleted, some are no pictures.
        outages: how many times everything fails for some seconds.
        visibility: the queue's visibility timeout, s.
        watch: told now and then how many are uploaded, and how many are as they should be.
    """
    bundle = bundle_for("efficientnet-lite0")
    plan = _plan(uploads, load_encoder(bundle))
    with tempfile.TemporaryDirectory() as folder, local_aws(Path(folder) / "aws.log") as aws:
        stack = deploy(aws, bundle)
        with fault_proxy(aws.endpoint, rules()) as proxy, ThreadPoolExecutor(4) as pool:
            _send_through(stack, proxy, visibility)
            poison = _put_poison(stack)
            s3 = _patient_s3(proxy)
            sending = [pool.submit(_upload, s3, stack, key, expected) for key, expected in plan.items()]
            waiting = dict(plan)
            last_news = time.monotonic()
            while waiting and time.monotonic() - last_news < STALL_SECONDS:
                aws.check_alive()
                right = [key for key, expected in waiting.items() if _fault_of(stack, key, expected) is None]
                waiting = {key: expected for key, expected in waiting.items() if key not in set(right)}
                sent = sum(future.done() for future in sending)
                watch(sent, uploads - len(waiting))
                last_news = time.monotonic() if right or sent < uploads else last_news
                if outages and uploads - len(waiting) > 100:
                    outages -= 1
                    proxy.fail_everything(OUTAGE_SECONDS)
                    time.sleep(OUTAGE_SECONDS)
            for future in sending:
                future.result()
            assert eventually(lambda: _is_empty(stack), STALL_SECONDS), "the queue does not run empty"
            stats = proxy.stats()
        faults = [(key, _fault_of(stack, key, expected)) for key, expected in plan.items()]
        dead = _receive_all(stack)
    actions: Counter[str] = Counter()
    for each in stats["by_rule"]:
        actions[each["describe"]] += each["fired"]
    wrong = tuple(f"{key}: {fault}" for key, fault in faults if fault is not None)
    return Result(uploads, wrong, Counter(poison), Counter(dead), stats["requests"]["total"], actions)


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


def _send_through(stack: Stack, proxy: Proxy, visibility: int) -> None:
    """Let the function call AWS through the proxy, and the queue be quick to deliver again.

    The variables of single services: the local AWS puts its own address into AWS_ENDPOINT_URL. The bucket's test events
    go first: one that a worker of the old settings took with it would be out of sight for the old, long time.
    """
    assert eventually(lambda: _is_empty(stack)), "the function does not take the bucket's test events"
    settings = stack.lambda_.get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
    through = {**settings, "AWS_ENDPOINT_URL_S3": proxy.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": proxy.endpoint}
    stack.lambda_.update_function_configuration(FunctionName=stack.function, Environment={"Variables": through})
    stack.sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes={"VisibilityTimeout": str(visibility)})


def _put_poison(stack: Stack) -> list[str]:
    """Messages that can never succeed: no JSON, no event, and a picture that may not be read."""
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


def _patient_s3(proxy: Proxy) -> "S3Client":
    patient = CONFIG.merge(Config(retries={"mode": "standard", "max_attempts": 20}))
    client: S3Client = session().client("s3", endpoint_url=proxy.endpoint, config=patient)
    return client


def _upload(s3: "S3Client", stack: Stack, key: str, expected: Expected) -> None:
    for body in (expected.earlier, expected.last):
        if body is not None:
            s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=body)
    if expected.last is None:
        s3.delete_object(Bucket=stack.uploads_bucket, Key=key)


def _fault_of(stack: Stack, key: str, expected: Expected) -> str | None:
    """What is not right about a key, in words; None when all is."""
    source = stack.source(key)
    found = stack.dynamodb.get_item(TableName=stack.table, Key={"source": {"S": source}}, ConsistentRead=True)
    item = plain(found["Item"]) if "Item" in found else {}
    results = _results(stack, key)
    if expected.last is None:
        right = item.get("status") == "deleted" and not results
        return None if right else f"deleted, but its item is {item.get('status')}, with {len(results)} results"
    etag = hashlib.md5(expected.last, usedforsecurity=False).hexdigest()
    if (item.get("etag"), item.get("error_code")) != (etag, expected.error_code):
        return f"the item says {item.get('status')}, {item.get('error_code')} of {item.get('etag')}"
    result = results.get(item["result"])
    if result is None or (result["etag"], result["error_code"]) != (etag, expected.error_code):
        return f"the item names a JSON that says {result}"
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
    """Run it; exit code 1 when anything is not as it should be."""
    parser = argparse.ArgumentParser(description="Run uploads through a proxy that fails as AWS does.")
    parser.add_argument("--uploads", type=int, default=1_000)
    uploads = parser.parse_args().uploads
    with progress(Console(highlight=False), uploads) as watch:
        result = run(uploads, outages=2, visibility=VISIBILITY_SECONDS, watch=watch)
    sys.stdout.write("\n".join(result.lines()) + "\n")
    return 0 if result.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
