from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from moto import mock_aws

from handler.aws import make_clients
from handler.model import load_encoder
from handler.settings import read_settings
from tests.order_model import RESULTS, TABLE, prepare

CASES = 200


@pytest.mark.timeout(600)
def test_item_json_and_vector_end_at_what_the_key_holds(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.aws.FIRST_BACKOFF_SECONDS", 0)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        environment = {"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE}
        machine = prepare(make_clients(), load_encoder(tiny_bundle), read_settings(environment))
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=CASES,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=checks,
                phases=[Phase.reuse, Phase.generate],
                print_blob=False,
            ),
        )
