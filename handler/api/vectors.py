"""Terms of a query -> one query vector, in plain Python: a search by example needs no numpy."""

import math
from collections.abc import Callable, Sequence

from handler.api.query import Picture, RawVector, Source, Subject, Term, Text
from handler.errors import RequestError

# Below this share of its terms' weights a sum says nothing: its direction is rounding noise.
_SMALLEST_SUM = 1e-6

Numbers = Sequence[float]


def query_vector(terms: Sequence[Term], vector_of: Callable[[Subject], Numbers], dimension: int) -> list[float]:
    """The weighted sum of the terms' vectors, each normalised first, and the sum normalised.

    Args:
        terms: at least one.
        vector_of: makes or finds the vector of one subject, of any length but zero.
        dimension: of the index.

    Returns:
        float (dimension,) of length 1.

    Raises:
        RequestError: a vector has another dimension or length zero, or the terms cancel each other out.
    """
    total = [0.0] * dimension
    for term in terms:
        numbers = vector_of(term.subject)
        if len(numbers) != dimension:
            raise RequestError(f"vector has {len(numbers)} numbers; the model's have {dimension}")
        factor = term.weight / _length(numbers, f"{_NAMES[type(term.subject)]} has a vector of zeros")
        total = [sum_ + factor * number for sum_, number in zip(total, numbers, strict=True)]
    length = math.hypot(*total)
    if length < _SMALLEST_SUM * sum(abs(term.weight) for term in terms):
        raise RequestError("the terms of the query cancel each other out; change a weight")
    return [number / length for number in total]


_NAMES = {Text: "text", Picture: "image", Source: "source", RawVector: "vector"}


def _length(numbers: Numbers, fault: str) -> float:
    length = math.hypot(*numbers)
    if not 0 < length < math.inf:
        raise RequestError(f"{fault}, which has no direction to search in")
    return length
