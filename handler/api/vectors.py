"""Terms of a query -> one query vector, in plain Python: a search by example needs no numpy."""

import math
from collections.abc import Callable, Sequence

from handler.api.query import Picture, RawVector, Source, Subject, Term, Text
from handler.errors import RequestError

# Below this share of its terms' weights a sum says nothing: its direction is rounding noise.
_SMALLEST_SUM = 1e-6

# Vectors of other lengths are scaled first.
_SMALLEST, _LARGEST = 1e-150, 1e150

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
    largest = max(abs(term.weight) for term in terms)
    weights = [term.weight / largest for term in terms]
    parts = [
        _with_length(weight, term.subject, vector_of(term.subject), dimension)
        for term, weight in zip(terms, weights, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    total = [math.fsum(numbers) for numbers in zip(*parts, strict=True)]
    length = math.hypot(*total)
    if length < _SMALLEST_SUM * sum(map(abs, weights)):
        raise RequestError("the terms of the query cancel each other out; change a weight")
    return [number / length for number in total]


_NAMES = {Text: "text", Picture: "image", Source: "source", RawVector: "vector"}


def _with_length(wanted: float, subject: Subject, numbers: Numbers, dimension: int) -> list[float]:
    """The vector in the direction of a subject's with another length; of a negative length in the opposite one."""
    if len(numbers) != dimension:
        raise RequestError(f"vector has {len(numbers)} numbers; the model's have {dimension}")
    length = math.hypot(*numbers)
    if not _SMALLEST < length < _LARGEST:  # float cannot express all products of such numbers
        largest = max(map(abs, numbers))
        if largest == 0:
            raise RequestError(f"{_NAMES[type(subject)]} has a vector of zeros, which has no direction to search in")
        numbers = [number / largest for number in numbers]
        length = math.hypot(*numbers)
    factor = wanted / length
    return [factor * number for number in numbers]
