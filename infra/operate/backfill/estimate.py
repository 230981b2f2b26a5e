"""What a backfill would cost, from the measured figures and the price table."""

from collections.abc import Iterator

from infra.common.progress import size
from infra.operate.account import Account
from infra.operate.backfill.state import State
from infra.operate.function import ask_setup
from infra.operate.measured import ModelFigures, load
from infra.operate.prices import MILLION, PRICES, PRICES_DATE, REGION, bill

LISTED, READ_BYTES = 1000, 4096


def estimate(account: Account, state: State, model: str) -> Iterator[str]:
    """The bytes to be read and the dollars, in words."""
    measured = load()
    if not state.sent:
        yield "Nothing to embed: $0.00."
        return
    yield f"{size(state.sent_bytes)} to read, {size(state.sent_bytes / state.sent)} an image."
    if model not in measured:
        yield f"No cost is told: nothing was measured of the model {model} (infra/operate/measured.toml)."
        return
    memory = ask_setup(account).memory_mib
    dollars = backfill_dollars(measured[model], memory, state)
    yield (
        f"About ${dollars:,.2f} at {memory} MB, with prices of {REGION} of {PRICES_DATE}, no free tier, and times "
        f"measured on {measured[model].date}."
    )


def backfill_dollars(figures: ModelFigures, memory_mib: int, state: State) -> float:
    """The function's bill for what is sent, and the listing's and the look-ups' for what was seen."""
    image = figures.nearest(state.sent_bytes / state.sent if state.sent else 0)
    embedding = sum(bill(figures.use(image), memory_mib).values()) / MILLION * state.sent
    # A look-up that is eventually consistent takes half a unit for each 4 KB begun.
    looked_up = 0.5 * -(-figures.item_bytes // READ_BYTES) * PRICES["dynamodb_read_unit"].dollars
    return embedding + state.seen * (PRICES["s3_put"].dollars / LISTED + looked_up)
