"""Embed what is in a bucket already: list, leave out what is done, feed the function's queue."""

import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infra.common.errors import OperatorError
from infra.common.paths import shown
from infra.common.progress import Meter, meter
from infra.operate.account import RESULTS, UPLOADS, Account
from infra.operate.backfill.choice import Judged, Verdict, Wanted, judge
from infra.operate.backfill.estimate import estimate
from infra.operate.backfill.feed import SENDERS, Feed, Pacer, Room, queue_depth
from infra.operate.backfill.inventory import read_inventory
from infra.operate.backfill.manifest import write_manifest
from infra.operate.backfill.objects import Listing, Source, address
from infra.operate.backfill.state import State, StateFile
from infra.operate.function import ask_model

_AHEAD = 8


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        address: `s3://bucket/prefix`.
        inventory: of a manifest.json, to read instead of listing.
        reembed: also what another model has embedded.
        rejected: also what this model has rejected.
        everything: whatever the table says.
        rate: images a second, at most.
        ahead: messages that may wait in the queue; None for any number.
        dry_run: only tell what would be done.
        restart: forget how far an earlier run came.
        manifest: a file for S3 Batch Operations, instead of the queue.
    """

    address: str
    inventory: str | None = None
    reembed: bool = False
    rejected: bool = False
    everything: bool = False
    rate: float | None = None
    ahead: int | None = 5000
    dry_run: bool = False
    restart: bool = False
    manifest: Path | None = None


def backfill(account: Account, options: Options) -> None:
    """Do it, or tell what it would be.

    Raises:
        OperatorError: it cannot be done; what was sent stays sent, and the same command goes on from there.
    """
    source = _source(account, options)
    model = ask_model(account)
    prefix, suffix = account.key_filters if source.bucket == account.find_if_any(UPLOADS) else ("", "")
    wanted = Wanted(model.fingerprint, options.reembed, options.rejected, options.everything, prefix, suffix)
    print(f"The model of {account.function}: {model.name}, fingerprint {model.fingerprint[:8]}", flush=True)
    work = Work(account, source, wanted, options)
    if options.dry_run:
        deque(work.judged(), maxlen=0)
        print("\n".join([*work.summary("to send"), *estimate(account, work.state, model.name)]))
    elif options.manifest is not None:
        command = write_manifest(account, options.manifest, source.bucket, work.judged())
        print("\n".join([*work.summary("in the manifest"), command]))
    else:
        work.run()


def _source(account: Account, options: Options) -> Source:
    bucket, prefix = address(options.address)
    if bucket == account.find_if_any(RESULTS):
        raise OperatorError(f"{bucket} holds the results; the function ignores what is in it")
    uploads = account.find_if_any(UPLOADS)
    if uploads is not None and bucket != uploads:
        print(f"Mind that the function must be allowed to read {bucket}: the stack's own bucket is {uploads}.")
    if options.inventory is None:
        return Listing(account.s3, bucket, prefix)
    return read_inventory(account.s3, options.inventory, bucket, prefix)


def _warn(depth: int) -> None:
    print(
        f"The function takes nothing from its queue, with {depth:,} messages in it, for a minute: its log tells why.",
        file=sys.stderr,
    )


@dataclass
class Work:
    """One run.

    Attributes:
        account: where.
        source: of objects.
        wanted: which of them.
        options: how.
        state: how far it is.
    """

    account: Account
    source: Source
    wanted: Wanted
    options: Options
    state: State = field(default_factory=State)

    def run(self) -> None:
        """Send everything, from where an earlier run stopped."""
        file = StateFile.of(self.task())
        with file.alone():
            if self.options.restart:
                file.forget()
            self.state = file.load()
            if self.state.place is not None:
                print(f"Going on after {self.state.seen:,} objects, {self.state.sent:,} of them sent.", flush=True)
            try:
                self._feed(file)
            except BaseException:
                print(f"The same command goes on from here ({shown(file.path)} knows where).", file=sys.stderr)
                raise
            file.forget()
        print("\n".join(self.summary("sent")))

    def task(self) -> dict[str, object]:
        """What makes it the same backfill as an earlier one."""
        wanted = self.wanted
        return {
            "endpoint": self.account.sqs.meta.endpoint_url,
            "queue": self.account.queue_url,
            "table": self.account.table,
            "address": self.options.address,
            "inventory": self.options.inventory,
            "wanted": [wanted.fingerprint, wanted.reembed, wanted.rejected, wanted.everything],
        }

    def _feed(self, file: StateFile) -> None:
        """Judge and send slice by slice. The state is saved behind each: what is sent twice at worst is one slice."""
        room = Room(self.options.ahead, lambda: queue_depth(self.account), _warn)
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as pool:
            feed = Feed(self.account, self.source.bucket, room, Pacer(self.options.rate), pool)
            for judged in self.judged():
                feed.send([found.key for found in judged.sent()])
                file.save(self.state)

    def judged(self) -> Iterator[Judged]:
        """Every slice from the state's place on, taken down in the state, with progress shown.

        Meanwhile all objects are counted, so that it can be told how long it will take.
        """
        what = "backfill" if not self.options.dry_run else "looking"
        with meter(what) as shown_, self._counting():
            for judged in self._looked_up():
                self._count(judged)
                yield judged
                self._show(shown_)
            self.state.total = self.state.seen
            self._show(shown_, last=True)

    def _looked_up(self) -> Iterator[Judged]:
        """Slices in their order, with a few questions to the table under way."""
        bucket = self.source.bucket
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="judge") as pool:
            asked: deque[Future[Judged]] = deque()
            for part in self.source.slices(self.state.place):
                asked.append(pool.submit(judge, self.account, bucket, self.wanted, part))
                if len(asked) >= _AHEAD:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()

    def _count(self, judged: Judged) -> None:
        self.state.place = judged.slice.place
        self.state.counts.update(str(verdict) for verdict in judged.verdicts)
        self.state.sent_bytes += sum(found.bytes or 0 for found in judged.sent())

    def _show(self, shown_: Meter, *, last: bool = False) -> None:
        state = self.state
        shown_.update(state.seen, state.total, f"{state.sent:,} to embed" if state.sent else "", last=last)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Count all objects in the background: a list request for a thousand is nothing beside their embedding."""
        stop = threading.Event()
        state = self.state

        def count() -> None:
            total = 0
            with suppress(ClientError, BotoCoreError, OperatorError):  # what is wrong is told by whoever works
                for part in self.source.slices(None):
                    if stop.is_set():
                        return
                    total += len(part.objects)
                state.total = total

        counter = threading.Thread(target=count, name="count", daemon=True)
        if state.total is None:
            counter.start()
        try:
            yield
        finally:
            stop.set()
            if counter.ident is not None:
                counter.join()

    def summary(self, verb: str) -> Iterator[str]:
        """What was found, and done or not."""
        counts = self.state.counts
        told = [f"{self.state.sent:,} {verb}"]
        told += [f"{counts[verdict]:,} {verdict}" for verdict in Verdict if verdict != Verdict.SENT and counts[verdict]]
        yield f"{self.state.seen:,} objects: {', '.join(told)}"
        if counts[Verdict.OTHER_MODEL]:
            yield "What another model has embedded stays as it is; --reembed replaces it."
        if counts[Verdict.REJECTED]:
            yield "What was rejected stays so; `failures` tells why, and --rejected tries it again."
        if verb == "sent" and self.state.sent:
            yield "The function is at work on the last of them; `status` tells when its queue is empty."
