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
    largest = max(abs(term.weight) for term in terms)
    for term in terms:
        numbers = vector_of(term.subject)
        if len(numbers) != dimension:
            raise RequestError(f"vector has {len(numbers)} numbers; the model's have {dimension}")
        unit = _normalized(numbers)
        if unit is None:
            raise RequestError(
                f"{_NAMES[type(term.subject)]} has a vector of zeros, which has no direction to search in"
            )
        factor = term.weight / largest
        total = [sum_ + factor * number for sum_, number in zip(total, unit, strict=True)]
    found = _normalized(total)
    if found is None or math.hypot(*total) < _SMALLEST_SUM * sum(abs(term.weight / largest) for term in terms):
        raise RequestError("the terms of the query cancel each other out; change a weight")
    return found


_NAMES = {Text: "text", Picture: "image", Source: "source", RawVector: "vector"}


def _normalized(numbers: Numbers) -> list[float] | None:
    """A vector of length 1 in the same direction; None for a vector of zeros."""
    largest = max(map(abs, numbers))
    if largest == 0:
        return None
    scaled = [number / largest for number in numbers]  # so that no square is too large or too small
    length = math.hypot(*scaled)
    return [number / length for number in scaled]
