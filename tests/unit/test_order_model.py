from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handler.model.encoder import load_encoder
from handler.settings import read_settings
from tests.support.loopback_aws import LoopbackAws, fresh_state
from tests.support.order_model import RESULTS, TABLE, prepare

CASES = 200


@pytest.mark.timeout(600)
def test_item_json_and_vector_end_at_what_the_key_holds(
    tiny_bundle: Path, loopback: LoopbackAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.aws.clients.FIRST_BACKOFF_SECONDS", 0)
    with fresh_state(loopback) as aws:
        environment = {"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE}
        machine = prepare(aws, load_encoder(tiny_bundle), read_settings(environment))
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=CASES,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=checks,
                phases=[Phase.reuse, Phase.generate],
                print_blob=False,
            ),
        )
