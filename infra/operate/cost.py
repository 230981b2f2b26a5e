"""Dollars for a million images, and how fast it can go: figures that were measured, times prices, with a date each."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from rich.console import Console
from rich.table import Table

from infra.common.errors import OperatorError
from infra.common.progress import duration
from infra.operate.capacity import MOST_CONCURRENCY, Plan, ceilings, drain_seconds
from infra.operate.measured import Image, ModelFigures, figures_of, load
from infra.operate.prices import FULL_VCPU_MIB, MILLION, PRICES, PRICES_DATE, REGION, bill, billed_seconds
from infra.operate.simulation import drain

MEMORY_MIB = (1024, 1769, 3008)
CONCURRENCY = (10, 100, 1000)
IMAGES = (MILLION, 10 * MILLION, 100 * MILLION, 1000 * MILLION)
# What the capacity is told for: as phones take them.
PHOTO_MEGAPIXELS = 12.0
BATCH = 10
# Between two invocations, until Lambda has taken the next messages; about, for it cannot be measured here.
BATCH_SECONDS = 0.02

# What a function may have.
_LEAST_MIB, _MOST_MIB = 128, 10_240

_SIMULATED = 200_000
_SEED = 1
_PIPED_COLUMNS = 120


@dataclass(frozen=True)
class Wish:
    """What is to be told.

    Attributes:
        model: by name; None for the first that was measured.
        memory_mib: sizes of the function; none for the usual ones.
        concurrency: invocations at a time; none for the usual numbers.
    """

    model: str | None = None
    memory_mib: Sequence[int] = ()
    concurrency: Sequence[int] = ()


def cost(wish: Wish) -> None:
    """Print the tables.

    Raises:
        OperatorError: the model was not measured, or a number is not one that AWS takes.
    """
    figures = figures_of(load(), wish.model)
    memory, concurrency = wish.memory_mib or MEMORY_MIB, wish.concurrency or CONCURRENCY
    if any(not _LEAST_MIB <= size <= _MOST_MIB for size in memory):
        raise OperatorError(f"a function has {_LEAST_MIB} to {_MOST_MIB} MB of memory")
    if any(not 1 <= number <= MOST_CONCURRENCY for number in concurrency):
        raise OperatorError(f"a queue's function runs 1 to {MOST_CONCURRENCY} times at once")
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=_PIPED_COLUMNS)
    console.print(dollars_table(figures, memory))
    console.print(
        f"Prices of {REGION}, {PRICES_DATE}, on demand, no free tier; figures of {figures.date}: {figures.source}."
    )
    plans = [plan_of(figures, number) for number in concurrency]
    console.print(capacity_table(figures, plans))
    console.print(f"At {FULL_VCPU_MIB} MB, {photo(figures).megapixels:g} megapixels an image, a new table.")
    console.print(ceilings_table(plans))
    for plan in plans:
        console.print(simulation_line(plan))


def dollars_table(figures: ModelFigures, memory_mib: Sequence[int]) -> Table:
    """A row for each memory size and image size."""
    columns = ["memory", "image", "ms", "Lambda", "requests", "S3", "DynamoDB", "SQS", "logs", "total"]
    made = _table(f"Dollars for a million images, {figures.name}", columns)
    for memory in memory_mib:
        for image in figures.images:
            use = figures.use(image)
            lines = bill(use, memory)
            groups = [
                lines["lambda_gb_second"],
                lines["lambda_request"],
                lines["s3_get"] + lines["s3_put"],
                lines["dynamodb_write_unit"] + lines.get("dynamodb_read_unit", 0.0),
                lines["sqs_request"],
                lines["log_gb"],
                sum(lines.values()),
            ]
            took = f"{1000 * billed_seconds(use, memory):.0f}"
            made.add_row(f"{memory} MB", f"{image.megapixels:g} MP", took, *(f"{part:.2f}" for part in groups))
    return made


def photo(figures: ModelFigures) -> Image:
    """The measured image that is nearest to what phones take."""
    return min(figures.images, key=lambda image: abs(image.megapixels - PHOTO_MEGAPIXELS))


def plan_of(figures: ModelFigures, concurrency: int) -> Plan:
    """How the template runs the function, on a whole vCPU."""
    use = figures.use(photo(figures))
    return Plan(
        concurrency=concurrency,
        batch=BATCH,
        seconds=use.cpu_seconds + use.wait_seconds,
        batch_seconds=BATCH_SECONDS,
        write_units=figures.write_units,
    )


def capacity_table(figures: ModelFigures, plans: Sequence[Plan]) -> Table:
    """How long up to a billion images take, and what keeping them costs."""
    columns = ["images", *(f"{plan.concurrency} at once" for plan in plans), "embedding", "a month: table", "JSON"]
    made = _table("How long a backlog takes, on paper", columns)
    dollars = sum(bill(figures.use(photo(figures)), FULL_VCPU_MIB).values()) / MILLION
    for images in IMAGES:
        times = [duration(drain_seconds(plan, images)) for plan in plans]
        kept = [
            images * figures.item_bytes / 1e9 * PRICES["dynamodb_gb_month"].dollars,
            images * figures.result_bytes / 1e9 * PRICES["s3_gb_month"].dollars,
        ]
        made.add_row(f"{images:,}", *times, f"${images * dollars:,.0f}", *(f"${month:,.2f}" for month in kept))
    return made


def ceilings_table(plans: Sequence[Plan]) -> Table:
    """What each part lets through, lowest first."""
    made = _table("What each part lets through", ["part", "images a second", "what raises it"])
    found = {ceiling.part: ceiling for plan in plans for ceiling in ceilings(plan)}
    for ceiling in sorted(found.values(), key=lambda ceiling: ceiling.rate):
        made.add_row(ceiling.part, f"{ceiling.rate:,.0f}", ceiling.remedy)
    return made


def simulation_line(plan: Plan) -> str:
    """The same backlog played through."""
    images = min(_SIMULATED, 2000 * plan.concurrency)
    played = drain(plan, images, Random(_SEED)).seconds  # noqa: S311 - chance, not a secret
    on_paper = drain_seconds(plan, images)
    return (
        f"{images:,} images, {plan.concurrency} at once, played through: {played:,.0f} s; "
        f"on paper {on_paper:,.0f} s ({played / on_paper - 1:+.1%})"
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="left" if column in {"part", "what raises it"} else "right")
    return made
