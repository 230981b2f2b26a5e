from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handler.model.encoder import load_encoder
from tests.support.order_histories import HISTORIES
from tests.support.order_model import OrderMachine, make_machine

CASES = 200


@pytest.fixture
def machine(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> type[OrderMachine]:
    monkeypatch.setattr("handler.aws.retries.FIRST_BACKOFF_SECONDS", 0)
    return make_machine(load_encoder(tiny_bundle))


@pytest.mark.timeout(600)
def test_item_json_and_vector_end_at_the_current_object(machine: type[OrderMachine]) -> None:
    for versioned in (False, True):
        for history in HISTORIES:
            case = machine()
            case.begin(versioned=versioned, history=history, patience=0)
            case.teardown()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=CASES - 2 * len(HISTORIES),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.reuse, Phase.generate],
            print_blob=False,
        ),
    )
