"""The entry point of the function `Indexer`: a batch of the table's stream -> changes of the indexes.

A batch is applied as a whole. If a call fails after its retries, the invocation fails; Lambda then halves the batch and
delivers it again, and applying a change again has the same effect.
"""

import os
import sys
import time
from collections.abc import Mapping

from handler.aws.clients import make_s3vectors
from handler.errors import DropvecError
from handler.frozen import frozen
from handler.index.plan import plan_of
from handler.index.stream import read_stream
from handler.index.writer import Applied, IndexWriter
from handler.log import FUNCTION, log, metric_line, with_typed_errors
from handler.settings import read_indexer_settings
from handler.timing import Deadline, LambdaContext


@frozen
class Indexer:
    """The function's parts, made once at cold start.

    Attributes:
        writer: of the vector bucket.
        metrics: whether to print metrics.
    """

    writer: IndexWriter
    metrics: bool


def start(environment: Mapping[str, str]) -> Indexer:
    """Connect to the vector bucket that the environment names.

    Raises:
        SettingsError: VECTOR_BUCKET is not set, or a variable of the SDKs is invalid.
    """
    try:
        settings = read_indexer_settings(environment)
        return Indexer(IndexWriter(make_s3vectors(settings.vector_bucket)), settings.metrics)
    except DropvecError:
        sys.tracebacklimit = 0  # the message says what to set
        raise


_indexer = start(os.environ)
_function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "dropvec-indexer")


def handler(event: object, context: LambdaContext | None = None) -> None:
    """Apply one batch.

    Args:
        event: of the table's stream, with old and new images.
        context: Lambda's; gives the time that is left.

    Raises:
        DropvecError: the batch was not applied completely and must be delivered again.
    """
    applied = with_typed_errors(lambda: apply(event, _indexer.writer, Deadline.from_context(context)))
    request_id = context.aws_request_id if context else None
    for vector in applied.refused:
        log(
            {
                "level": "ERROR",
                "request_id": request_id,
                "source": vector.source,
                "error_code": "refused_vector",
                "error": f"its vector cannot be indexed: {vector.reason}",
            }
        )
    if _indexer.metrics:
        log(metric_line({FUNCTION: _function}, counts_of(applied), time.time()))


def apply(event: object, writer: IndexWriter, deadline: Deadline) -> Applied:
    """Apply one batch with these parts; see `handler`."""
    return writer.apply(plan_of(read_stream(event)), deadline)


def counts_of(applied: Applied) -> dict[str, float | list[float]]:
    """The metrics of one batch."""
    return {"Indexed": applied.put, "Unindexed": applied.deleted, "RefusedVectors": len(applied.refused)}
