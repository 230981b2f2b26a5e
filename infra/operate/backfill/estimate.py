"""Estimated cost of a backfill, from the measured figures and the prices."""

from collections.abc import Iterator

from infra.common.progress import size
from infra.operate.backfill.state import BackfillState
from infra.operate.function import fetch_config
from infra.operate.measured import ModelFigures, load
from infra.operate.prices import MILLION, PRICES, PRICES_DATE, REGION, bill
from infra.operate.stack import DeployedStack

LISTED, READ_BYTES = 1000, 4096


def estimate(stack: DeployedStack, state: BackfillState, model: str) -> Iterator[str]:
    """Lines with the bytes to read and the cost in dollars."""
    measured = load()
    if not state.sent:
        yield "Nothing to embed: $0.00."
        return
    yield f"{size(state.sent_bytes)} to read, {size(state.sent_bytes / state.sent)} per image."
    if model not in measured:
        yield f"Cost unknown: infra/operate/measured.toml has no measurements of the model {model}."
        return
    memory = fetch_config(stack).memory_mib
    dollars = backfill_dollars(measured[model], memory, state)
    yield (
        f"About ${dollars:,.2f} with {memory} MB of memory, at prices in {REGION} of {PRICES_DATE} without free tier, "
        f"and times measured on {measured[model].date}."
    )


def backfill_dollars(figures: ModelFigures, memory_mib: int, state: BackfillState) -> float:
    """Cost of embedding the sent objects, plus listing and reading the items of all objects seen."""
    image = figures.nearest(state.sent_bytes / state.sent if state.sent else 0)
    embedding = sum(bill(figures.use(image), memory_mib).values()) / MILLION * state.sent
    # An eventually consistent read takes half a read unit per 4 KB, rounded up.
    item_read = 0.5 * -(-figures.item_bytes // READ_BYTES) * PRICES["dynamodb_read_unit"].dollars
    return embedding + state.seen * (PRICES["s3_put"].dollars / LISTED + item_read)
