"""A stack without a function: buckets, a table and queues in moto, in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from moto.sqs.models import sqs_backends

from infra.operate.backfill import state
from infra.operate.stack import DEAD_LETTERS, FUNCTION, QUEUE, RESULTS, TABLE, UPLOADS, DeployedStack, StackRef

BUCKET = "pictures"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DeployedStack]:
    monkeypatch.setattr(state, "FOLDER", tmp_path / "backfill")
    with mock_aws():
        session = boto3.Session("test", "test", region_name="us-east-1")
        made = DeployedStack(StackRef(), session)
        made.s3.create_bucket(Bucket=BUCKET)
        made.dynamodb.create_table(
            TableName="vectors",
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        queue, dead = (made.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("uploads", "dead"))
        names = {TABLE: "vectors", QUEUE: queue, DEAD_LETTERS: dead, FUNCTION: "none", UPLOADS: BUCKET, RESULTS: "json"}
        yield DeployedStack(StackRef(), session, None, names)


def put_item(stack: DeployedStack, source: str, **texts: str) -> None:
    """Put an item without a vector."""
    item: Any = {name: {"S": text} for name, text in {"source": source, **texts}.items()}
    stack.dynamodb.put_item(TableName=stack.table, Item=item)


def put_vector(
    stack: DeployedStack, source: str, vector: Any, *, dtype: str = "float32", fingerprint: str = "f" * 64
) -> None:
    """Put an item with a vector, as the function writes it."""
    data = np.asarray(vector, dtype={"float32": "<f4", "float16": "<f2"}[dtype])
    item: Any = {
        "source": {"S": source},
        "status": {"S": "success"},
        "etag": {"S": f"etag of {source}"},
        "model": {"S": "a model"},
        "fingerprint": {"S": fingerprint},
        "embedding": {"B": data.tobytes()},
        "embedding_dtype": {"S": dtype},
        "embedding_dim": {"N": str(len(data))},
        "normalized": {"BOOL": True},
        "updated_at": {"S": "2026-11-24T00:00:00.000000Z"},
    }
    stack.dynamodb.put_item(TableName=stack.table, Item=item)


def received(stack: DeployedStack) -> list[str]:
    """The bodies of all messages that were sent to the function's queue.

    Read from moto's internal state, because receiving hundreds of messages takes moto most of a minute.
    """
    *_, owner, name = stack.queue_url.split("/")
    return [message.body for message in sqs_backends[owner]["us-east-1"].queues[name].messages]
