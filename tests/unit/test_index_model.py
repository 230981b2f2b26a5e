from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handler.model.encoder import load_encoder
from tests.support.bundles import write_tiny_bundle
from tests.support.index_model import INDEX_HISTORIES, IndexMachine, make_index_machine

CASES = 200


@pytest.fixture
def machine(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[IndexMachine]:
    monkeypatch.setattr("handler.aws.retries.FIRST_BACKOFF_SECONDS", 0)
    other = write_tiny_bundle(tmp_path / "other", name="other", gain=-1)
    return make_index_machine(load_encoder(tiny_bundle), load_encoder(other))


@pytest.mark.timeout(600)
def test_every_index_ends_at_what_the_table_says(machine: type[IndexMachine]) -> None:
    for versioned in (False, True):
        for history in INDEX_HISTORIES:
            case = machine()
            case.begin(versioned=versioned, history=history, patience=0)
            case.teardown()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=CASES - 2 * len(INDEX_HISTORIES),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.reuse, Phase.generate],
            print_blob=False,
        ),
    )
