import numpy as np
import pytest

from handler.errors import RejectedError
from handler.results.record import Embedding


def embedding(*values: float) -> Embedding:
    return Embedding(np.array(values, np.float32), normalized=False)


@pytest.mark.parametrize(
    ("values", "reason"), [((0, 0, 0), "all zeros"), ((1, np.nan, 0), "not finite"), ((np.inf, 1), "not finite")]
)
def test_a_vector_without_direction_is_not_normalised(values: tuple[float, ...], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason) as caught:
        embedding(*values).normalize()
    assert caught.value.code == "unusable_vector"


def test_a_value_beyond_float16_is_an_error_and_not_infinity() -> None:
    embedding(65504, -65504, 0).require_storable("float16")
    embedding(1e6, -3e38).require_storable("float32")
    with pytest.raises(RejectedError, match="70000, beyond float16; set EMBEDDING_DTYPE=float32") as caught:
        embedding(1, -70000).require_storable("float16")
    assert caught.value.code == "unusable_vector"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_that_are_not_finite_are_never_stored(dtype: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(RejectedError, match="not finite"):
            embedding(1, value).require_storable(dtype)  # type: ignore[arg-type]
