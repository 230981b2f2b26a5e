"""The indexes of a stack, which of them are in use, and how far they are behind the table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.index.names import index_name
from infra.common.errors import OperatorError
from infra.common.progress import duration, meter
from infra.operate.function import FunctionModel, fetch_model
from infra.operate.search.api import search_model
from infra.operate.search.failure_records import record_keys
from infra.operate.search.indexes import Index, Indexes, require_indexes
from infra.operate.stack import INDEXER, DeployedStack

# Metrics reach CloudWatch with a delay of a few minutes.
_METRIC_SPAN = timedelta(minutes=10)


@dataclass(frozen=True)
class Models:
    """The models of a stack.

    Attributes:
        searching: of the search function; None if it fails.
        embedding: of the function that embeds uploads; None if it fails.
    """

    searching: FunctionModel | None
    embedding: FunctionModel | None

    def uses_of(self, index: str) -> list[str]:
        """What uses an index: `search`, `uploads`, both or neither."""
        uses = {"search": self.searching, "uploads": self.embedding}
        return [use for use, model in uses.items() if model is not None and index_name(model.fingerprint) == index]

    def full_fingerprint(self, index: Index) -> str:
        """The complete fingerprint of an index's model where it is known, else the digits in the index's name."""
        known = [model.fingerprint for model in (self.searching, self.embedding) if model is not None]
        return next((each for each in known if index_name(each) == index.name), index.fingerprint)


def fetch_models(stack: DeployedStack) -> Models:
    """Ask both functions for their models."""
    return Models(_model(stack, search_model), _model(stack, fetch_model))


def _model(stack: DeployedStack, fetch: Any) -> FunctionModel | None:  # noqa: ANN401 - one of two functions
    try:
        model: FunctionModel = fetch(stack)
    except (OperatorError, ClientError, BotoCoreError):  # the rest of the status is useful without it
        return None
    return model


def index_status(stack: DeployedStack, *, quick: bool, as_json: bool) -> dict[str, Any]:
    """Print the status, and return it.

    Args:
        stack: the stack.
        quick: do not count vectors, which lists all of them.
        as_json: whether the caller prints JSON instead.

    Raises:
        OperatorError: the stack has no search.
    """
    indexes = require_indexes(stack)
    found = indexes.find_all()
    counts = {} if quick else count_vectors(indexes, found)
    models = fetch_models(stack)
    status = {
        "vector_bucket": indexes.bucket,
        "indexes": [_fields(index, models, counts) for index in found],
        "search_model": _model_fields(models.searching),
        "upload_model": _model_fields(models.embedding),
        "lag_seconds": lag_seconds(stack),
        "failure_records": sum(1 for _ in record_keys(stack)),
    }
    if not as_json:
        print("\n".join(status_lines(status)))
    return status


def _fields(index: Index, models: Models, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "index": index.name,
        "fingerprint": models.full_fingerprint(index),
        "dimension": index.dimension,
        "vectors": counts.get(index.name),
        "used_by": models.uses_of(index.name),
        "created_at": index.created_at,
    }


def _model_fields(model: FunctionModel | None) -> dict[str, str] | None:
    return None if model is None else {"model": model.name, "fingerprint": model.fingerprint}


def count_vectors(indexes: Indexes, which: Sequence[Index]) -> dict[str, int]:
    """The number of vectors of each index; lists them all."""
    counts: dict[str, int] = {}
    with meter("counting") as progress:
        for index in which:
            counts[index.name] = 0
            for page in indexes.pages(index.name):
                counts[index.name] += len(page)
                progress.update(sum(counts.values()), None, "vectors")
        progress.update(sum(counts.values()), None, "vectors", last=True)
    return counts


def lag_seconds(stack: DeployedStack, now: datetime | None = None) -> float | None:
    """Age of the newest change that the indexer has applied, according to CloudWatch; None if it has no data."""
    end = now or datetime.now(UTC)
    try:
        points = stack.cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="IteratorAge",
            Dimensions=[{"Name": "FunctionName", "Value": stack.resource(INDEXER).partition(":")[0]}],
            StartTime=end - _METRIC_SPAN,
            EndTime=end,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    except (ClientError, BotoCoreError, OperatorError):  # the rest of the status is useful without it
        return None
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] / 1000 if points else None


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """The status as lines of text."""
    if not status["indexes"]:
        yield "There is no index yet: the indexer creates it with the first vector."
    for index in status["indexes"]:
        vectors = "" if index["vectors"] is None else f"{index['vectors']:,} vectors, "
        uses = " and ".join(index["used_by"]) or f"nothing; delete it with `index drop {index['fingerprint'][:8]}`"
        yield f"{index['index']}: {vectors}dimension {index['dimension']}, used by {uses}"
    for name, key in (("search", "search_model"), ("uploads", "upload_model")):
        model = status[key]
        shown = "unknown, the function failed" if model is None else f"{model['model']}, {model['fingerprint'][:8]}"
        yield f"model of {name}: {shown}"
    lag = status["lag_seconds"]
    yield f"behind the table: {'no recent changes' if lag is None else duration(lag)}"
    records = status["failure_records"]
    yield f"failure records: {records:,}" + ("; index what they name with `redrive`" if records else "")
