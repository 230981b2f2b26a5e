"""Groups of near-identical images among the vectors of a stack's table."""

from typing import Any

import numpy as np

from infra.common.duplicates_report import DuplicatesOptions, check_options, report_duplicates
from infra.common.errors import OperatorError
from infra.common.thumbnails import ReadPicture
from infra.operate.function import fetch_model
from infra.operate.stack import DeployedStack
from infra.operate.vectors.export import read_batches


def duplicates_of_stack(
    stack: DeployedStack, fingerprint: str | None, options: DuplicatesOptions, read: ReadPicture
) -> dict[str, Any]:
    """Find the groups, print or write them, and return them. All vectors are in memory.

    Args:
        stack: the stack.
        fingerprint: of the model, or the start of it; None for the function's model.
        options: what to find, and where to write it.
        read: reads the pictures of a page.

    Raises:
        UsageError: an option is invalid.
        OperatorError: there are no vectors.
    """
    check_options(options)
    wanted = fingerprint or fetch_model(stack).fingerprint
    batches = [batch for batch in read_batches(stack, wanted) if len(batch.sources)]
    if not batches:
        raise OperatorError(f"the table {stack.table} has no vectors with the fingerprint {wanted[:8]}")
    sources = [source for batch in batches for source in batch.sources]
    vectors = np.concatenate([batch.vectors for batch in batches])
    return report_duplicates(sources, vectors, options, read)
