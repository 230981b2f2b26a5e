"""Embed the existing objects of a bucket: list them, skip those that are embedded, send the rest to the queue."""

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
from infra.operate.backfill.estimate import estimate
from infra.operate.backfill.feed import SENDERS, QueueLimiter, RateLimiter, Sender, queue_depth
from infra.operate.backfill.inventory import read_inventory
from infra.operate.backfill.manifest import write_manifest
from infra.operate.backfill.objects import Listing, ObjectSource, parse_address
from infra.operate.backfill.selection import DecidedSlice, Decision, Selection, decide_slice
from infra.operate.backfill.state import BackfillState, StateFile
from infra.operate.function import fetch_model
from infra.operate.stack import RESULTS, UPLOADS, DeployedStack

_PARALLEL_SLICES = 8


@dataclass(frozen=True)
class BackfillOptions:
    """Options of the command.

    Attributes:
        address: `s3://bucket/prefix`.
        inventory: address of an inventory's manifest.json, to read instead of listing the bucket.
        reembed: also embed objects that another model has embedded.
        rejected: also embed objects that this model has rejected.
        everything: embed all objects, whatever their items say.
        rate: maximum images a second; None for no limit.
        ahead: maximum number of waiting messages in the queue; None for no limit.
        dry_run: only count and estimate.
        restart: start from the beginning, even if an earlier run can be resumed.
        manifest: write a manifest for S3 Batch Operations to this file, instead of sending to the queue.
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


def backfill(stack: DeployedStack, options: BackfillOptions) -> dict[str, object]:
    """Run a backfill, estimate it, or write a manifest for it; return the numbers of objects, for --json.

    Raises:
        OperatorError: it failed; the same command resumes after the objects that were sent.
    """
    source = _source(stack, options)
    model = fetch_model(stack)
    uploads = stack.find_resource_of_optional_stack(UPLOADS)
    prefix, suffix = stack.key_filters if source.bucket == uploads else ("", "")
    selection = Selection(model.fingerprint, options.reembed, options.rejected, options.everything, prefix, suffix)
    print(f"Model of the function {stack.function}: {model.name}, fingerprint {model.fingerprint[:8]}", flush=True)
    run = BackfillRun(stack, source, selection, options)
    if options.dry_run:
        deque(run.decided_slices(), maxlen=0)
        print("\n".join([*run.summary("to send"), *estimate(stack, run.state, model.name)]))
    elif options.manifest is not None:
        commands = write_manifest(stack, options.manifest, source.bucket, run.decided_slices())
        print("\n".join([*run.summary("in the manifest"), commands]))
    else:
        run.run()
    return {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "objects": run.state.seen,
        "decisions": dict(run.state.counts),
        "bytes": run.state.sent_bytes,
    }


def _source(stack: DeployedStack, options: BackfillOptions) -> ObjectSource:
    bucket, prefix = parse_address(options.address)
    if bucket == stack.find_resource_of_optional_stack(RESULTS):
        raise OperatorError(f"{bucket} is the results bucket, which the function ignores: give a bucket with images")
    uploads = stack.find_resource_of_optional_stack(UPLOADS)
    if uploads is not None and bucket != uploads:
        print(
            f"Note: {bucket} is not the stack's uploads bucket ({uploads}). The function needs permission to read it."
        )
    if options.inventory is None:
        return Listing(stack.s3, bucket, prefix)
    return read_inventory(stack.s3, options.inventory, bucket, prefix)


def _warn(depth: int) -> None:
    print(
        f"The function has received no messages for a minute; {depth:,} are waiting. See the function's log.",
        file=sys.stderr,
    )


@dataclass
class BackfillRun:
    """One run of a backfill.

    Attributes:
        stack: the stack.
        source: the objects.
        selection: which of them to embed.
        options: the command's options.
        state: the progress.
    """

    stack: DeployedStack
    source: ObjectSource
    selection: Selection
    options: BackfillOptions
    state: BackfillState = field(default_factory=BackfillState)

    def run(self) -> None:
        """Send all selected objects, resuming an earlier run of the same task."""
        file = StateFile.of(self.task())
        with file.lock():
            if self.options.restart:
                file.delete()
            self.state = file.load()
            if self.state.position is not None:
                print(f"Resuming after {self.state.seen:,} objects, {self.state.sent:,} of them sent.", flush=True)
            try:
                self._send_all(file)
            except BaseException:
                print(f"Run the same command to resume; the progress is in {shown(file.path)}.", file=sys.stderr)
                raise
            file.delete()
        print("\n".join(self.summary("sent")))

    def task(self) -> dict[str, object]:
        """What identifies the task; a run resumes an earlier run with the same values."""
        selection = self.selection
        return {
            "endpoint": self.stack.sqs.meta.endpoint_url,
            "queue": self.stack.queue_url,
            "table": self.stack.table,
            "address": self.options.address,
            "inventory": self.options.inventory,
            "selection": [selection.fingerprint, selection.reembed, selection.rejected, selection.everything],
        }

    def _send_all(self, file: StateFile) -> None:
        """Send slice by slice, and save the state after each, so that at most one slice is sent twice."""
        queue_limiter = QueueLimiter(self.options.ahead, lambda: queue_depth(self.stack), _warn)
        rate_limiter = RateLimiter(self.options.rate)
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as pool:
            sender = Sender(self.stack, self.source.bucket, queue_limiter, rate_limiter, pool)
            for decided in self.decided_slices():
                sender.send([listed.key for listed in decided.sent()])
                file.save(self.state)

    def decided_slices(self) -> Iterator[DecidedSlice]:
        """Yield every slice after the state's position; update the state and the progress display.

        All objects are counted in the background, for the estimate of the remaining time.
        """
        what = "backfill" if not self.options.dry_run else "checking"
        with meter(what) as progress, self._counting():
            for decided in self._decide_in_parallel():
                self._count(decided)
                yield decided
                self._show(progress)
            self.state.total = self.state.seen
            self._show(progress, last=True)

    def _decide_in_parallel(self) -> Iterator[DecidedSlice]:
        """Yield the slices in order, while the items of the next ones are being read."""
        bucket = self.source.bucket
        with ThreadPoolExecutor(_PARALLEL_SLICES, thread_name_prefix="decide") as pool:
            pending: deque[Future[DecidedSlice]] = deque()
            for part in self.source.slices(self.state.position):
                pending.append(pool.submit(decide_slice, self.stack, bucket, self.selection, part))
                if len(pending) >= _PARALLEL_SLICES:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _count(self, decided: DecidedSlice) -> None:
        self.state.position = decided.slice.position
        self.state.counts.update(str(decision) for decision in decided.decisions)
        self.state.sent_bytes += sum(listed.bytes or 0 for listed in decided.sent())

    def _show(self, progress: Meter, *, last: bool = False) -> None:
        state = self.state
        progress.update(state.seen, state.total, f"{state.sent:,} to embed" if state.sent else "", last=last)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Count all objects in a background thread; listing is much faster than embedding."""
        stop = threading.Event()
        state = self.state

        def count() -> None:
            total = 0
            with suppress(
                ClientError, BotoCoreError, OperatorError
            ):  # the main thread meets and reports the same error
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
        """The number of objects by decision, and hints."""
        counts = self.state.counts
        parts = [f"{self.state.sent:,} {verb}"]
        parts += [f"{counts[one]:,} {one}" for one in Decision if one != Decision.SENT and counts[one]]
        yield f"{self.state.seen:,} objects: {', '.join(parts)}"
        if counts[Decision.OTHER_MODEL]:
            yield "Results of other models were kept; --reembed replaces them."
        if counts[Decision.REJECTED]:
            yield "Rejected objects were skipped; `failures` lists the reasons, --rejected retries them."
        if verb == "sent" and self.state.sent:
            yield "The function is still processing the last messages; `status` shows when the queue is empty."
