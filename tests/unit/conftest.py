from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from handler.aws import make_clients
from handler.events import Job
from handler.model import load_encoder
from handler.pipeline import Outcome, Pipeline
from handler.settings import read_settings
from handler.store import Store
from handler.timing import Deadline, LambdaContext
from tests.bundles import write_tiny_bundle

clients_once = cache(make_clients)  # they cost more than all that a test does with them

UPLOADS, RESULTS, TABLE = "uploads", "results", "vectors"

Serve = Callable[[object, LambdaContext | None, Pipeline], dict[str, Any] | None]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@dataclass
class World:
    """An in-process AWS with the function's parts wired to it."""

    pipeline: Pipeline
    environment: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, data: bytes, bucket: str = UPLOADS) -> str:
        return self.pipeline.clients.s3.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')

    def delete(self, key: str) -> None:
        self.pipeline.clients.s3.delete_object(Bucket=UPLOADS, Key=key)

    def process(self, key: str, sequencer: str | None = "01", bucket: str = UPLOADS) -> Outcome:
        return self.pipeline.process(Job(bucket, key, sequencer), Deadline(30))

    def item(self, key: str) -> dict[str, Any]:
        found = self.pipeline.store.read(UPLOADS, key, Deadline(30))
        return {name: next(iter(value.values())) for name, value in (found or {}).items()}

    def results(self) -> list[str]:
        return [entry["Key"] for entry in self.pipeline.clients.s3.list_objects_v2(Bucket=RESULTS).get("Contents", [])]

    def result(self, key: str) -> bytes:
        return self.pipeline.clients.s3.get_object(Bucket=RESULTS, Key=key)["Body"].read()


def build_world(bundle: Path, **environment: str) -> World:
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE, **environment})
    clients = clients_once()
    return World(Pipeline(settings, load_encoder(bundle), clients, Store(clients, settings)))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        clients = clients_once()
        for bucket in (UPLOADS, RESULTS):
            clients.s3.create_bucket(Bucket=bucket)
        clients.dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield


@pytest.fixture
def world(aws: None, tiny_bundle: Path) -> World:
    return build_world(tiny_bundle)


@pytest.fixture(scope="session")
def serve(tiny_bundle: Path) -> Serve:
    """What the entry point does; to import it is to start it, so it gets settings to start with."""
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
    return app.serve
