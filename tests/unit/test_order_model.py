from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handler.model.encoder import load_encoder
from tests.support.order_model import make_machine

CASES = 200


@pytest.mark.timeout(600)
def test_item_json_and_vector_end_at_the_current_object(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.aws.clients.FIRST_BACKOFF_SECONDS", 0)
    run_state_machine_as_test(
        make_machine(load_encoder(tiny_bundle)),
        settings=settings(
            max_examples=CASES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.reuse, Phase.generate],
            print_blob=False,
        ),
    )
