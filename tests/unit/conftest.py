from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handler.api.http.scope import Scope
from handler.jobs import Job
from handler.metrics import Meter
from handler.model.encoder import load_encoder
from handler.outcomes import Outcome
from handler.pipeline import Pipeline
from handler.results.keys import source_of
from handler.results.store import Store
from handler.settings import read_settings
from handler.timing import Deadline, LambdaContext
from tests.support.bundles import write_tiny_bundle
from tests.support.http_api import HttpApi, http_api
from tests.support.loopback_aws import LoopbackAws, State, fresh_state, loopback_aws

UPLOADS, RESULTS, TABLE = "uploads", "results", "vectors"

Serve = Callable[[object, LambdaContext | None, Pipeline], dict[str, Any] | None]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackAws]:
    with loopback_aws() as running:
        yield running


@dataclass
class World:
    """An empty AWS and the function's pipeline connected to it; `state.operator` has clients with all permissions."""

    pipeline: Pipeline
    state: State

    def put(self, key: str, data: bytes, bucket: str = UPLOADS) -> str:
        return self.state.operator.s3.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')

    def delete(self, key: str) -> None:
        self.state.operator.s3.delete_object(Bucket=UPLOADS, Key=key)

    def process(self, key: str, sequencer: str | None = "01", bucket: str = UPLOADS) -> Outcome:
        return self.pipeline.process(Job(bucket, key, sequencer), Deadline(30))

    def item(self, key: str) -> dict[str, Any]:
        answer = self.state.clients.dynamodb.get_item(
            TableName=TABLE, Key={"source": {"S": source_of(UPLOADS, key)}}, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in answer.get("Item", {}).items()}

    def results(self) -> list[str]:
        return [entry["Key"] for entry in self.state.operator.s3.list_objects_v2(Bucket=RESULTS).get("Contents", [])]

    def result(self, key: str) -> bytes:
        return self.state.operator.s3.get_object(Bucket=RESULTS, Key=key)["Body"].read()


def build_world(bundle: Path, state: State, **environment: str) -> World:
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE, **environment})
    clients = state.clients
    return World(Pipeline(settings, load_encoder(bundle), clients, Store(clients, settings)), state)


@pytest.fixture
def aws(loopback: LoopbackAws) -> Iterator[State]:
    with fresh_state(loopback) as state:
        for bucket in (UPLOADS, RESULTS):
            state.operator.s3.create_bucket(Bucket=bucket)
        state.operator.dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield state


@pytest.fixture
def world(aws: State, tiny_bundle: Path) -> World:
    return build_world(tiny_bundle, aws)


@pytest.fixture(scope="session")
def serve(tiny_bundle: Path) -> Serve:
    """The entry point; importing `handler.app` initialises it, so this sets the environment before the import."""
    environment = {
        "MODEL_DIR": str(tiny_bundle),
        "RESULTS_BUCKET": RESULTS,
        "TABLE_NAME": TABLE,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        from handler import app
    return lambda event, context, pipeline: app.serve(event, context, pipeline, Meter("dropvec"))


@pytest.fixture
def api(world: World, tiny_bundle: Path) -> Iterator[HttpApi]:
    """The HTTP API, over the same AWS as `world`."""
    with http_api(world.state, tiny_bundle, TABLE, Scope(UPLOADS, "", "")) as made:
        yield made
