"""A backfill of existing objects that is killed twice and resumed.

python -m tests.soak.soak_backfill [--objects 20000]

During the run some objects are overwritten and some deleted. Then the same command runs again, and once more after a
change of the model. Every item must match the current object of its key and the function's model.
"""

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from handler.model.spec import load_spec
from infra.common.local_session import ACCESS_KEY, REGION, session
from infra.common.local_stack import Stack
from infra.common.paths import HANDLER, ROOT
from infra.local.package import function_zip
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy
from infra.operate.scan import Scan, scan
from infra.operate.stack import DeployedStack, StackRef
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.functions import unqualified
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

CONTENTS = 20
STALL_SECONDS = 240.0

_UPLOADERS = 8

Report = Callable[[str], object]
Items = dict[str, dict[str, Any]]


@dataclass
class Bucket:
    """The uploads bucket of a stack, with its expected contents.

    Attributes:
        stack: the stack.
        etags: ETag of the current object by key.
    """

    stack: Stack
    etags: dict[str, str] = field(default_factory=dict)

    def fill(self, objects: int) -> str:
        """Put objects without event notifications."""
        configured = self.stack.s3.get_bucket_notification_configuration(Bucket=self.stack.uploads_bucket)
        kept: Any = {"QueueConfigurations": configured["QueueConfigurations"]}
        self._set_notifications({})
        with ThreadPoolExecutor(_UPLOADERS) as pool:
            keys = [f"archive/{number % 50:02}/Ünï+{number:06}.png" for number in range(objects)]
            for _ in pool.map(self.put, keys, range(objects)):
                pass
        self._set_notifications(kept)
        return f"{objects} objects"

    def _set_notifications(self, configuration: Any) -> None:
        bucket = self.stack.uploads_bucket
        self.stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)

    def put(self, key: str, seed: int) -> None:
        """Put a small image that depends on the seed."""
        data = _PICTURES[seed % CONTENTS]
        self.stack.s3.put_object(Bucket=self.stack.uploads_bucket, Key=key, Body=data)
        self.etags[key] = hashlib.md5(data, usedforsecurity=False).hexdigest()

    def change(self, share: Sequence[str]) -> None:
        """Overwrite these objects, and delete every tenth of them."""
        for number, key in enumerate(share):
            if number % 10 == 9:
                self.stack.s3.delete_object(Bucket=self.stack.uploads_bucket, Key=key)
                self.etags.pop(key, None)
            else:
                self.put(key, number + 7)

    def some(self, first: int) -> list[str]:
        """One key in fifty, starting with number `first`."""
        return sorted(self.etags)[first::50]


_PICTURES = [encoded(picture(24 + seed, 20, seed=seed)) for seed in range(CONTENTS)]


@dataclass(frozen=True)
class Command:
    """`python -m infra backfill` with the environment variables of the local AWS."""

    stack: Stack
    build: Path
    rate: float | None

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start the command."""
        environment = os.environ | {
            "AWS_ENDPOINT_URL": self.stack.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "DROPVEC_BUILD": str(self.build),
        }
        rate = [] if self.rate is None else ["--rate", str(self.rate)]
        command = [sys.executable, "-m", "infra", "backfill", f"s3://{self.stack.uploads_bucket}/archive/"]
        return subprocess.Popen(
            [*command, "--ahead", "1000", *rate, *options],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *options: str) -> str:
        """Run the command to its end; returns its output."""
        return self.wait(self.start(*options))

    def wait(self, process: "subprocess.Popen[str]") -> str:
        """Wait for the end of a started command; returns its output."""
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out

    def sent(self) -> int:
        """The number of sent objects according to the state file."""
        files = list((self.build / "backfill").glob("*.json"))
        return max((orjson.loads(file.read_bytes())["counts"].get("sent", 0) for file in files), default=0)

    def run_killed(self, at: int, *options: str) -> str:
        """Start the command, and kill it when it has sent `at` objects."""
        process = self.start(*options)
        try:
            assert eventually(lambda: self.sent() >= at or process.poll() is not None, STALL_SECONDS)
            assert process.poll() is None, f"it ended before it was killed: {process.communicate()}"
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        return f"killed after {self.sent()} sent"


@dataclass(frozen=True)
class BackfillResult:
    """The result of a run.

    Attributes:
        objects: number of objects.
        wrong: a line for each key with a wrong item.
        output: the commands' output by step.
        repeat_changed_nothing: whether the repeated runs left every item unchanged.
        seconds: duration by step.
    """

    objects: int
    wrong: tuple[str, ...]
    output: dict[str, str]
    repeat_changed_nothing: bool
    seconds: dict[str, float]

    @property
    def is_correct(self) -> bool:
        """Whether every item is correct and the repeated runs sent nothing."""
        sent_again = [self.sent(step) for step in ("first, repeated", "another model", "again, repeated")]
        return not self.wrong and self.repeat_changed_nothing and sent_again == [0, 0, 0]

    def sent(self, step: str) -> int:
        """The number of objects that a step sent in all its runs, according to its output."""
        found = re.search(r"objects: ([\d,]+) sent", self.output[step])
        assert found, self.output[step]
        return int(found[1].replace(",", ""))

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""
        yield from self.wrong[:20]
        for step, output in self.output.items():
            yield f"{step} ({self.seconds[step]:.0f} s): {' '.join(output.split())}"
        unchanged = "unchanged" if self.repeat_changed_nothing else "changed"
        yield f"{len(self.wrong)} of {self.objects} items wrong; the repeated runs left items {unchanged}"


def run(objects: int, *, kills: int, rate: float | None, report: Report) -> BackfillResult:
    """Fill a bucket, run the backfills, check every item.

    Args:
        objects: number of objects.
        kills: how often each backfill is killed.
        rate: images a second, so that there is time to kill the backfill; None for no limit.
        report: called with a line about each step.
    """
    with tempfile.TemporaryDirectory() as temporary, local_aws(Path(temporary) / "aws.log") as aws:
        folder = Path(temporary)
        old, new = (
            add_canonical_vector(write_tiny_bundle(folder / name, name=name, gain=gain))
            for name, gain in _MODELS.items()
        )
        stack = deploy(aws, old)
        trial = Trial(aws, stack, Bucket(stack), Command(stack, folder / "build", rate), Steps(report), kills)
        trial.steps.run("fill", lambda: trial.bucket.fill(objects))
        trial.run("first", old)
        stack.lambda_.update_function_code(FunctionName=unqualified(stack.function), ZipFile=function_zip(HANDLER, new))
        trial.steps.run("another model", trial.command.run)
        trial.run("again", new, "--reembed")
    return BackfillResult(
        objects, tuple(trial.wrong), trial.steps.output, trial.repeat_changed_nothing, trial.steps.seconds
    )


_MODELS = {"tiny": 1.0, "tiny-with-gain-2": 2.0}


@dataclass
class Steps:
    """The steps of a run, with their output and duration."""

    report: Report
    output: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, name: str, step: Callable[[], str]) -> None:
        started = time.monotonic()
        self.output[name] = step()
        self.seconds[name] = time.monotonic() - started
        self.report(f"{name}: {self.seconds[name]:.0f} s. {self.output[name]}".strip())


@dataclass
class Trial:
    """A stack with its bucket, and the backfills to run."""

    aws: LocalAws
    stack: Stack
    bucket: Bucket
    command: Command
    steps: Steps
    kills: int
    wrong: list[str] = field(default_factory=list)
    repeat_changed_nothing: bool = True

    def run(self, name: str, bundle: Path, *options: str) -> None:
        """Run a backfill that is killed and resumed while objects change, check its items, and repeat it."""
        objects = len(self.bucket.etags)
        for number in range(1, self.kills + 1):
            at = objects * number // (self.kills + 1)
            self.steps.run(f"{name}, killed {number}", partial(self.command.run_killed, at, *options))
            self.bucket.change(self.bucket.some(number + 10 * len(options)))
        self.steps.run(f"{name}, completed", lambda: self._run_while_objects_change(*options))
        self.steps.run(f"{name}, queue empty", self.await_empty)
        before = _items(self.stack)
        self.wrong += _wrong_items(before, self.bucket, load_spec(bundle).fingerprint)
        self.steps.run(f"{name}, repeated", lambda: self.command.run(*options))
        self.await_empty()
        self.repeat_changed_nothing = self.repeat_changed_nothing and _items(self.stack) == before

    def _run_while_objects_change(self, *options: str) -> str:
        process = self.command.start(*options)
        self.bucket.change(self.bucket.some(5 + 10 * len(options)))
        return self.command.wait(process)

    def await_empty(self) -> str:
        """Wait until the function's queue is empty."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        last, last_progress = 0, time.monotonic()
        while True:
            self.aws.check_alive()
            answer = self.stack.sqs.get_queue_attributes(QueueUrl=self.stack.queue_url, AttributeNames=names)
            left = sum(int(answer["Attributes"][name]) for name in names)
            if left == 0:
                return ""
            last_progress = time.monotonic() if left != last else last_progress
            assert time.monotonic() - last_progress < STALL_SECONDS, f"{left} messages stay in the queue"
            last = left
            time.sleep(0.1)


def _items(stack: Stack) -> Items:
    deployed = DeployedStack(StackRef(), session(), stack.endpoint, {"TableName": stack.table})
    names = ("source", "status", "etag", "fingerprint", "updated_at", "model")
    pages = [page.items for page in scan(deployed, Scan(names))]
    found = [{name: value["S"] for name, value in item.items()} for page in pages for item in page]
    items = {item["source"]: item for item in found}
    assert len(items) == len(found), "a source has two items"
    return items


def _wrong_items(items: Items, bucket: Bucket, fingerprint: str) -> Iterator[str]:
    """A line for each item that is missing, unexpected, or does not match the current object of its key."""
    alive = {source: item for source, item in items.items() if item["status"] != "deleted"}
    for key, etag in bucket.etags.items():
        item = alive.pop(bucket.stack.source(key), {})
        found = item.get("status"), item.get("etag"), item.get("fingerprint")
        if found != ("success", etag, fingerprint):
            yield f"{key}: the item has {found}"
    yield from (f"{source}: an item without an object" for source in alive)


def main() -> int:
    """Run the backfills; the exit code is 1 if any item is wrong."""
    parser = argparse.ArgumentParser(description="Run backfills that are killed and resumed.")
    parser.add_argument("--objects", type=int, default=20_000)
    objects: int = parser.parse_args().objects
    result = run(objects, kills=2, rate=None, report=lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write("\n".join(result.lines()) + "\n")
    return 0 if result.is_correct else 1


if __name__ == "__main__":
    sys.exit(main())
