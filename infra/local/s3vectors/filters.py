"""Metadata filters with the service's limit and errors."""

from infra.common.vector_filter import Filter, InvalidFilterError, parse_filter
from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.limits import FILTER_CONSTRAINTS

__all__ = ["Filter", "read_filter"]


def read_filter(value: object, non_filterable: frozenset[str]) -> Filter:
    """Read a filter.

    Args:
        value: as it came.
        non_filterable: keys that filters cannot use.

    Raises:
        ValidationError: it is malformed, uses a non-filterable key, or compares with too many values.
    """
    try:
        read = parse_filter(value, non_filterable)
    except InvalidFilterError as error:
        raise ValidationError.at("filter", str(error)) from None
    if read.constraints > FILTER_CONSTRAINTS:
        raise ValidationError.at("filter", f"The filter must have at most {FILTER_CONSTRAINTS} constraints")
    return read
