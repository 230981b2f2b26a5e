"""Every hostile file ends as a picture or as a code, soon, in little memory, and in silence."""

from contextlib import closing

import pytest

from handler.errors import Rejection
from tests.support.corpus import corpus, whole
from tests.support.corpus_measurer import MOST_BYTES, MOST_SECONDS, Measured, Measurer

SAMPLES = {sample.name: sample for sample in corpus()}


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    with closing(Measurer(tmp_path_factory.mktemp("corpus"))) as measurer:
        return {name: measurer.measure(sample.make()) for name, sample in SAMPLES.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_hostile_file(name: str, measured: dict[str, Measured]) -> None:
    sample, found = SAMPLES[name], measured[name]
    assert "died" not in found, found
    assert found["outcome"] in sample.expected
    assert found["outcome"] in {"success", *Rejection}
    assert found["seconds"] < MOST_SECONDS
    assert found["peak"] < MOST_BYTES
    assert found["printed"] == 0
    if sample.same_as and found["outcome"] == "success":
        assert found["digest"] == measured[sample.same_as]["digest"]


def test_the_corpus_is_large_and_the_same_every_time() -> None:
    assert len(SAMPLES) == len(list(corpus())) >= 300
    some = list(SAMPLES.values())[::50]
    before = [sample.make() for sample in some]
    whole.cache_clear()
    assert [sample.make() for sample in some] == before
