"""A picture as large as its format may be decodes soon, in little memory, and in silence."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.bombs import just_under_the_limit
from tests.support.corpus_measurer import MOST_BYTES, MOST_SECONDS, Measurer

PICTURES = just_under_the_limit()


@pytest.fixture(scope="module")
def measurer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measurer]:
    with closing(Measurer(tmp_path_factory.mktemp("limits"))) as running:
        yield running


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_just_under_the_limit(name: str, measurer: Measurer) -> None:
    found = measurer.measure(PICTURES[name]())
    assert found.get("outcome") == "success", found
    assert found["seconds"] < MOST_SECONDS
    assert found["peak"] < MOST_BYTES
    assert found["printed"] == 0
