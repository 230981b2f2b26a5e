"""The demo: upload photos to a local AWS, wait for their vectors, print a table."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from rich.console import Console

from infra.bake.reuse import bundle_for
from infra.common.items import Item, nearest
from infra.common.local_stack import Stack
from infra.common.paths import DEMO, shown
from infra.common.program import command
from infra.local import report
from infra.local.images import collect, samples
from infra.local.outcomes import check_functions, upload_and_await
from infra.local.progress import progress
from infra.local.search_index import await_indexed
from infra.local.server import local_aws
from infra.local.stack import deploy, describe

RESULTS = DEMO / "results.jsonl"

_PIPED_COLUMNS = 120


def demo(images: Path | None, model: str) -> dict[str, object]:
    """Upload images to a local AWS, wait for every outcome, print them and write `results.jsonl` in the folder DEMO.

    Args:
        images: a directory; None for the sample photos.
        model: name of a manifest, or a bundle's directory.

    Returns:
        The number of images, the number of each outcome, the seconds from the first upload to the last outcome, and the
        path of the results, for --json.

    Raises:
        OperatorError: a step fails, or an image gets no outcome in time.
    """
    console = _console()
    uploads = samples() if images is None else collect(images)
    bundle = bundle_for(model)
    RESULTS.unlink(missing_ok=True)  # an older run's results could be mistaken for this run's
    with local_aws(DEMO / "aws.log") as aws:
        console.print(f"The local AWS is running at {aws.endpoint}; log: {shown(aws.log)}")
        stack = deploy(aws, bundle)
        console.print(describe(stack))
        check_functions(aws, stack)
        started = time.perf_counter()
        with progress(console, len(uploads)) as watch:
            found = upload_and_await(aws, stack, uploads, watch)
        seconds = time.perf_counter() - started
        items = [found[source] for source in sorted(found)]
        indexed = await_indexed(aws, stack, items)
        milliseconds = _milliseconds(stack, report.shown_rows(items))
    report.write_jsonl(items, RESULTS)
    console.print(report.table(items, stack.source(""), milliseconds, nearest(items)))
    _print_summary(console, items, seconds, indexed)
    return {"images": len(items), "outcomes": report.tally(items), "seconds": seconds, "results": str(RESULTS)}


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=_PIPED_COLUMNS)


def _print_summary(console: Console, items: Sequence[Item], seconds: float, indexed: int) -> None:
    console.print(
        f"{len(items)} images, {report.counts(items)}: {seconds:.1f} s from the first upload to the last outcome, "
        f"{len(items) / seconds:.1f} images/s; {indexed} in the search index"
    )
    console.print(f"Wrote every item with its vector to {shown(RESULTS)}, one per line. The local AWS has stopped.")
    console.print(
        f"To look at your pictures and search them in a browser, run `{command('up', make='up')}` and open the address "
        "that it prints."
    )


def _milliseconds(stack: Stack, items: Sequence[Item]) -> dict[str, float]:
    """The function's processing time for each item, from the item's result JSON."""
    with ThreadPoolExecutor(4) as executor:
        totals = executor.map(lambda item: _total(stack, item["result"]), items)
        return {item["source"]: total for item, total in zip(items, totals, strict=True)}


def _total(stack: Stack, result: str) -> float:
    bucket, _, key = result.removeprefix("s3://").partition("/")
    body = stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return float(orjson.loads(body)["timings_ms"]["total"])
