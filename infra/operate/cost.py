"""Cost of a million images, and throughput: measured figures times AWS prices, both dated."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

from rich.console import Console
from rich.table import Table

from infra.common.errors import UsageError
from infra.common.progress import duration
from infra.operate.capacity import MOST_CONCURRENCY, CapacityModel, drain_seconds, rate_limits
from infra.operate.measured import ImageFigures, ModelFigures, figures_of, load
from infra.operate.prices import FULL_VCPU_MIB, MILLION, PRICES, PRICES_DATE, REGION, bill, billed_seconds
from infra.operate.search_cost import VECTORS_A_SECOND, dimension_of, search_cost
from infra.operate.simulation import drain

MEMORY_MIB = (1024, 1769, 3008)
CONCURRENCY = (10, 100, 1000)
IMAGES = (MILLION, 10 * MILLION, 100 * MILLION, 1000 * MILLION)
# Image size for the throughput figures: a typical phone photo.
PHOTO_MEGAPIXELS = 12.0
BATCH = 10
# Time between two invocations, while Lambda receives the next messages: an estimate, not a measurement.
BATCH_SECONDS = 0.02

# Lambda's limits for a function's memory.
_LEAST_MIB, _MOST_MIB = 128, 10_240

_SIMULATED = 200_000
_SEED = 1
_PIPED_COLUMNS = 120


@dataclass(frozen=True)
class CostQuery:
    """What to calculate.

    Attributes:
        model: a measured model's name; None for the first one.
        memory_mib: memory sizes of the function; empty for the defaults.
        concurrency: numbers of concurrent invocations; empty for the defaults.
    """

    model: str | None = None
    memory_mib: Sequence[int] = ()
    concurrency: Sequence[int] = ()


def cost(query: CostQuery) -> dict[str, object]:
    """Print the tables; return their figures, for --json.

    Raises:
        OperatorError: the model was not measured, or a number is outside Lambda's limits.
    """
    figures = figures_of(load(), query.model)
    memory, concurrency = query.memory_mib or MEMORY_MIB, query.concurrency or CONCURRENCY
    if any(not _LEAST_MIB <= size <= _MOST_MIB for size in memory):
        raise UsageError(f"--memory must be {_LEAST_MIB} to {_MOST_MIB}, Lambda's limits in MB")
    if any(not 1 <= number <= MOST_CONCURRENCY for number in concurrency):
        raise UsageError(f"--concurrency must be 1 to {MOST_CONCURRENCY}, the limit for a function with a queue")
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=_PIPED_COLUMNS)
    console.print(dollars_table(figures, memory))
    console.print(
        f"On-demand prices in {REGION} of {PRICES_DATE}, without free tier. Measured on {figures.date}: "
        f"{figures.source}."
    )
    capacities = [capacity_of(figures, number) for number in concurrency]
    console.print(backlog_table(figures, capacities))
    console.print(f"With {FULL_VCPU_MIB} MB, images of {photo(figures).megapixels:g} megapixels, and a new table.")
    dimension = dimension_of(figures.name)
    console.print(search_table(dimension))
    console.print(
        f"Vectors of dimension {dimension}; written in batches. Above 10 million vectors AWS charges up to 80 % less "
        f"for searches than shown. One index takes {VECTORS_A_SECOND:,} vectors a second."
    )
    console.print(limits_table(capacities))
    for capacity in capacities:
        console.print(simulation_line(capacity))
    return {
        "model": figures.name,
        "measured": figures.date,
        "region": REGION,
        "prices": PRICES_DATE,
        "million_images": [_dollars(figures, image, size) for size in memory for image in figures.images],
        "search": [asdict(search_cost(dimension, images)) for images in IMAGES],
        "throughput": [_throughput(capacity) for capacity in capacities],
    }


def _dollars(figures: ModelFigures, image: ImageFigures, memory_mib: int) -> dict[str, object]:
    """The dollars of a million images of one size, by the unit that AWS charges for."""
    use = figures.use(image)
    lines = bill(use, memory_mib)
    return {
        "memory_mb": memory_mib,
        "megapixels": image.megapixels,
        "milliseconds": 1000 * billed_seconds(use, memory_mib),
        "dollars": {**lines, "total": sum(lines.values())},
    }


def _throughput(capacity: CapacityModel) -> dict[str, object]:
    return {
        "concurrency": capacity.concurrency,
        "seconds": {str(images): drain_seconds(capacity, images) for images in IMAGES},
        "images_a_second": {limit.service: limit.rate for limit in rate_limits(capacity)},
    }


def dollars_table(figures: ModelFigures, memory_mib: Sequence[int]) -> Table:
    """A row for each memory size and image size."""
    columns = ["memory", "image", "ms", "Lambda", "requests", "S3", "DynamoDB", "SQS", "logs", "total"]
    table = _table(f"Cost of a million images in dollars, {figures.name}", columns)
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
            milliseconds = f"{1000 * billed_seconds(use, memory):.0f}"
            table.add_row(f"{memory} MB", f"{image.megapixels:g} MP", milliseconds, *(f"{part:.2f}" for part in groups))
    return table


def photo(figures: ModelFigures) -> ImageFigures:
    """The figures of the measured image whose size is nearest to a phone photo."""
    return min(figures.images, key=lambda image: abs(image.megapixels - PHOTO_MEGAPIXELS))


def capacity_of(figures: ModelFigures, concurrency: int) -> CapacityModel:
    """The function as the template deploys it, with a full vCPU."""
    use = figures.use(photo(figures))
    return CapacityModel(
        concurrency=concurrency,
        batch=BATCH,
        seconds=use.cpu_seconds + use.wait_seconds,
        batch_seconds=BATCH_SECONDS,
        write_units=figures.write_units,
    )


def backlog_table(figures: ModelFigures, capacities: Sequence[CapacityModel]) -> Table:
    """How long up to a billion images take, what they cost, and what their storage costs."""
    times = [f"{capacity.concurrency} concurrent" for capacity in capacities]
    table = _table("Time for a backlog (calculated)", ["images", *times, "embedding", "table/month", "JSON/month"])
    dollars = sum(bill(figures.use(photo(figures)), FULL_VCPU_MIB).values()) / MILLION
    for images in IMAGES:
        durations = [duration(drain_seconds(capacity, images)) for capacity in capacities]
        storage = [
            images * figures.item_bytes / 1e9 * PRICES["dynamodb_gb_month"].dollars,
            images * figures.result_bytes / 1e9 * PRICES["s3_gb_month"].dollars,
        ]
        table.add_row(f"{images:,}", *durations, f"${images * dollars:,.0f}", *(f"${month:,.2f}" for month in storage))
    return table


def search_table(dimension: int) -> Table:
    """What the search index costs, and how long a rebuild takes."""
    table = _table("Search index in dollars", ["images", "writing", "month", "1,000 searches", "rebuild"])
    for images in IMAGES:
        found = search_cost(dimension, images)
        dollars = [f"${amount:,.2f}" for amount in (found.write, found.month, found.queries)]
        table.add_row(f"{images:,}", *dollars, duration(found.rebuild_seconds))
    return table


def limits_table(capacities: Sequence[CapacityModel]) -> Table:
    """The throughput limit of each service, lowest first."""
    table = _table("Throughput limits", ["service", "images a second", "how to raise it"])
    limits = {limit.service: limit for capacity in capacities for limit in rate_limits(capacity)}
    for limit in sorted(limits.values(), key=lambda limit: limit.rate):
        table.add_row(limit.service, f"{limit.rate:,.0f}", limit.remedy)
    return table


def simulation_line(capacity: CapacityModel) -> str:
    """A simulated backlog beside the calculated one."""
    images = min(_SIMULATED, 2000 * capacity.concurrency)
    simulated = drain(capacity, images, Random(_SEED)).seconds  # noqa: S311 - not used for security
    calculated = drain_seconds(capacity, images)
    return (
        f"{images:,} images with {capacity.concurrency} concurrent invocations: simulated {simulated:,.0f} s, "
        f"calculated {calculated:,.0f} s ({simulated / calculated - 1:+.1%})"
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in {"service", "how to raise it"} else "right")
    return table
