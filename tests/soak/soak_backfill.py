"""A bucket that was full before there was a function, embedded by a backfill that is killed twice and goes on.

python -m tests.soak.soak_backfill [--objects 20000]

Meanwhile some objects are overwritten and some deleted; then the same command runs again, and after a change of the
model once more. Every item must say what its key holds, and must have been written by the model that runs.
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
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

CONTENTS = 20
STALL_SECONDS = 240.0

_UPLOADERS = 8

Say = Callable[[str], object]
Items = dict[str, dict[str, Any]]


@dataclass
class Bucket:
    """What is in it, and what happens to it meanwhile.

    Attributes:
        stack: whose uploads bucket it is.
        holds: ETag by key.
    """

    stack: Stack
    holds: dict[str, str] = field(default_factory=dict)

    def fill(self, objects: int) -> str:
        """Put objects there that no event tells of."""
        rules = self.stack.s3.get_bucket_notification_configuration(Bucket=self.stack.uploads_bucket)
        kept: Any = {"QueueConfigurations": rules["QueueConfigurations"]}
        self._notify({})
        with ThreadPoolExecutor(_UPLOADERS) as pool:
            keys = [f"archive/{number % 50:02}/Ünï+{number:06}.png" for number in range(objects)]
            for _ in pool.map(self.put, keys, range(objects)):
                pass
        self._notify(kept)
        return f"{objects} objects"

    def _notify(self, rules: Any) -> None:
        bucket = self.stack.uploads_bucket
        self.stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=rules)

    def put(self, key: str, seed: int) -> None:
        """Put a small picture, another one for another seed."""
        data = _PICTURES[seed % CONTENTS]
        self.stack.s3.put_object(Bucket=self.stack.uploads_bucket, Key=key, Body=data)
        self.holds[key] = hashlib.md5(data, usedforsecurity=False).hexdigest()

    def change(self, share: Sequence[str]) -> None:
        """Overwrite some objects, and delete every tenth of them."""
        for number, key in enumerate(share):
            if number % 10 == 9:
                self.stack.s3.delete_object(Bucket=self.stack.uploads_bucket, Key=key)
                self.holds.pop(key, None)
            else:
                self.put(key, number + 7)

    def some(self, first: int) -> list[str]:
        """One key in fifty, all over the bucket; others for another first one."""
        return sorted(self.holds)[first::50]


_PICTURES = [encoded(picture(24 + seed, 20, seed=seed)) for seed in range(CONTENTS)]


@dataclass(frozen=True)
class Command:
    """`python -m infra backfill`, as it is run by a person with an environment of the local AWS."""

    stack: Stack
    build: Path
    rate: float | None

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start it."""
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
        """Run it to its end; what it said."""
        return self.end(self.start(*options))

    def end(self, process: "subprocess.Popen[str]") -> str:
        """Wait for it; what it said."""
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out

    def sent(self) -> int:
        """How many it has sent, as its own state says."""
        files = list((self.build / "backfill").glob("*.json"))
        return max((orjson.loads(file.read_bytes())["counts"].get("sent", 0) for file in files), default=0)

    def run_killed(self, at: int, *options: str) -> str:
        """Start it, and kill it when it has sent so many."""
        process = self.start(*options)
        try:
            assert eventually(lambda: self.sent() >= at or process.poll() is not None, STALL_SECONDS)
            assert process.poll() is None, f"it ended before it was killed: {process.communicate()}"
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        return f"killed after {self.sent()} sent"


@dataclass(frozen=True)
class Result:
    """What a run showed.

    Attributes:
        objects: how many there were.
        wrong: a line for each key whose item is not as it should be.
        said: what the commands said, by step.
        unmoved: whether the second run left every item as it was.
        seconds: by step.
    """

    objects: int
    wrong: tuple[str, ...]
    said: dict[str, str]
    unmoved: bool
    seconds: dict[str, float]

    @property
    def is_right(self) -> bool:
        """Whether all is as it should be."""
        idle = [self.sent(step) for step in ("first, once more", "another model", "again, once more")]
        return not self.wrong and self.unmoved and idle == [0, 0, 0]

    def sent(self, step: str) -> int:
        """How many objects a step says that it has sent, in all its runs."""
        found = re.search(r"objects: ([\d,]+) sent", self.said[step])
        assert found, self.said[step]
        return int(found[1].replace(",", ""))

    def lines(self) -> Iterator[str]:
        """The run in words."""
        yield from self.wrong[:20]
        for step, said in self.said.items():
            yield f"{step} ({self.seconds[step]:.0f} s): {' '.join(said.split())}"
        yield f"{len(self.wrong)} of {self.objects} wrong; the second run left every item alone: {self.unmoved}"


def run(objects: int, *, kills: int, rate: float | None, say: Say) -> Result:
    """Fill a bucket, run the backfills, look at every item.

    Args:
        objects: how many.
        kills: how often each backfill is killed.
        rate: images a second, so that there is time to kill it; None for no limit.
        say: told of each step.
    """
    with tempfile.TemporaryDirectory() as folder, local_aws(Path(folder) / "aws.log") as aws:
        here = Path(folder)
        quiet, loud = (
            add_canonical_vector(write_tiny_bundle(here / name, name=name, gain=gain)) for name, gain in _MODELS.items()
        )
        stack = deploy(aws, quiet)
        trial = Trial(aws, stack, Bucket(stack), Command(stack, here / "build", rate), Steps(say), kills)
        trial.steps.take("fill", lambda: trial.bucket.fill(objects))
        trial.take("first", quiet)
        stack.lambda_.update_function_code(FunctionName=stack.function, ZipFile=function_zip(HANDLER, loud))
        trial.steps.take("another model", trial.command.run)
        trial.take("again", loud, "--reembed")
    return Result(objects, tuple(trial.wrong), trial.steps.said, trial.unmoved, trial.steps.seconds)


_MODELS = {"tiny": 1.0, "tiny-but-louder": 2.0}


@dataclass
class Steps:
    """What was done: what it said, and its seconds."""

    say: Say
    said: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def take(self, name: str, step: Callable[[], str]) -> None:
        started = time.monotonic()
        self.said[name] = step()
        self.seconds[name] = time.monotonic() - started
        self.say(f"{name}: {self.seconds[name]:.0f} s. {self.said[name]}".strip())


@dataclass
class Trial:
    """A stack, and what is done to it."""

    aws: LocalAws
    stack: Stack
    bucket: Bucket
    command: Command
    steps: Steps
    kills: int
    wrong: list[str] = field(default_factory=list)
    unmoved: bool = True

    def take(self, name: str, bundle: Path, *options: str) -> None:
        """A backfill that is killed, goes on, and runs once more; objects change all the while."""
        objects = len(self.bucket.holds)
        for number in range(1, self.kills + 1):
            at = objects * number // (self.kills + 1)
            self.steps.take(f"{name}, killed {number}", partial(self.command.run_killed, at, *options))
            self.bucket.change(self.bucket.some(number + 10 * len(options)))
        self.steps.take(f"{name}, to its end", lambda: self._run_while_objects_change(*options))
        self.steps.take(f"{name}, worked off", self.await_empty)
        before = _items(self.stack)
        self.wrong += _faults(before, self.bucket, load_spec(bundle).fingerprint)
        self.steps.take(f"{name}, once more", lambda: self.command.run(*options))
        self.await_empty()
        self.unmoved = self.unmoved and _items(self.stack) == before

    def _run_while_objects_change(self, *options: str) -> str:
        process = self.command.start(*options)
        self.bucket.change(self.bucket.some(5 + 10 * len(options)))
        return self.command.end(process)

    def await_empty(self) -> str:
        """Wait until the function has taken all that is in its queue."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        last, news = 0, time.monotonic()
        while True:
            self.aws.check_alive()
            answer = self.stack.sqs.get_queue_attributes(QueueUrl=self.stack.queue_url, AttributeNames=names)
            left = sum(int(answer["Attributes"][name]) for name in names)
            if left == 0:
                return ""
            news = time.monotonic() if left != last else news
            assert time.monotonic() - news < STALL_SECONDS, f"{left} messages stay in the queue"
            last = left
            time.sleep(0.1)


def _items(stack: Stack) -> Items:
    account = DeployedStack(StackRef(), session(), stack.endpoint, {"TableName": stack.table})
    names = ("source", "status", "etag", "fingerprint", "updated_at", "model")
    pages = [page.items for page in scan(account, Scan(names))]
    found = [{name: value["S"] for name, value in item.items()} for page in pages for item in page]
    items = {item["source"]: item for item in found}
    assert len(items) == len(found), "a source has two items"
    return items


def _faults(items: Items, bucket: Bucket, fingerprint: str) -> Iterator[str]:
    """A line for each item that is missing, is too much, or does not say what its key holds."""
    alive = {source: item for source, item in items.items() if item["status"] != "deleted"}
    for key, etag in bucket.holds.items():
        item = alive.pop(bucket.stack.source(key), {})
        said = item.get("status"), item.get("etag"), item.get("fingerprint")
        if said != ("success", etag, fingerprint):
            yield f"{key}: the item says {said}"
    yield from (f"{source}: an item, but no object" for source in alive)


def main() -> int:
    """Run it; exit code 1 when anything is not as it should be."""
    parser = argparse.ArgumentParser(description="Run backfills that are killed.")
    parser.add_argument("--objects", type=int, default=20_000)
    objects: int = parser.parse_args().objects
    result = run(objects, kills=2, rate=None, say=lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write("\n".join(result.lines()) + "\n")
    return 0 if result.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
