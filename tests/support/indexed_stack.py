"""A stack with a search index: S3, DynamoDB and SQS in moto, the stand-in of S3 Vectors, and the real indexer between.

Nothing runs by itself: `Indexing.deliver` applies what the table's stream has, as Lambda would deliver it.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
from moto import mock_aws

from handler.aws.clients import make_s3vectors
from handler.index.names import index_name, vector_key
from handler.index.plan import plan_of
from handler.index.stream import read_stream
from handler.index.writer import IndexWriter
from handler.timing import Deadline
from infra.local.s3vectors.service import S3Vectors
from infra.operate.search.indexes import Indexes
from infra.operate.stack import (
    API,
    DEAD_LETTERS,
    FUNCTION,
    INDEXER,
    QUEUE,
    RESULTS,
    TABLE,
    UPLOADS,
    VECTOR_BUCKET,
    DeployedStack,
    StackRef,
)
from tests.support.s3vectors_server import s3vectors_client, s3vectors_server

UPLOADS_BUCKET, RESULTS_BUCKET, VECTORS_BUCKET, TABLE_NAME = "pictures", "json", "dropvec-vectors", "vectors"
OLD_MODEL, NEW_MODEL = "0" * 64, "1" * 64
DIM = 6


@dataclass
class Indexing:
    """The stack, and the indexer that follows its table.

    Attributes:
        stack: as the commands see it.
        writer: of the indexer.
        streams: client of the table's stream.
        iterator: where the indexer is in the stream.
    """

    stack: DeployedStack
    writer: IndexWriter
    streams: Any
    iterator: str

    @property
    def indexes(self) -> Indexes:
        return Indexes(self.stack.s3vectors, VECTORS_BUCKET)

    def deliver(self) -> int:
        """Apply what is in the stream; the number of changes."""
        answer = self.streams.get_records(ShardIterator=self.iterator)
        self.iterator = answer["NextShardIterator"]
        records = [_wire(record) for record in answer["Records"]]
        if records:
            self.writer.apply(plan_of(read_stream({"Records": records})), Deadline(60))
        return len(records)

    def upload(self, key: str, fingerprint: str = OLD_MODEL, *, seed: int | None = None) -> str:
        """Put an object and the item that the function would write; its source."""
        body = f"{key} {seed}".encode()
        etag = self.stack.s3.put_object(Bucket=UPLOADS_BUCKET, Key=key, Body=body)["ETag"].strip('"')
        return self.put_item(key, fingerprint, etag, seed=seed)

    def put_item(self, key: str, fingerprint: str, etag: str, *, seed: int | None = None) -> str:
        """Write an item with a vector, and its JSON."""
        source = f"s3://{UPLOADS_BUCKET}/{key}"
        name = f"{UPLOADS_BUCKET}/{key}/{etag}-{fingerprint[:8]}.json"
        self.stack.s3.put_object(Bucket=RESULTS_BUCKET, Key=name, Body=b"{}")
        numbers = np.random.default_rng(abs(hash((key, seed, fingerprint))) % 2**32).standard_normal(DIM)
        item: Any = {
            "source": {"S": source},
            "status": {"S": "success"},
            "sequencer": {"S": "1" * 32},
            "etag": {"S": etag},
            "model": {"S": "a model"},
            "fingerprint": {"S": fingerprint},
            "embedding": {"B": numbers.astype("<f4").tobytes()},
            "embedding_dtype": {"S": "float32"},
            "embedding_dim": {"N": str(DIM)},
            "normalized": {"BOOL": False},
            "result": {"S": f"s3://{RESULTS_BUCKET}/{name}"},
            "updated_at": {"S": f"2026-11-2{seed or 0}T00:00:00.000000Z"},
        }
        self.stack.dynamodb.put_item(TableName=TABLE_NAME, Item=item)
        return source

    def item(self, source: str) -> dict[str, Any] | None:
        """An item in wire form."""
        key: Any = {"source": {"S": source}}
        answer: Any = self.stack.dynamodb.get_item(TableName=TABLE_NAME, Key=key, ConsistentRead=True)
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def put_vector(self, source: str, fingerprint: str, numbers: list[float], **metadata: Any) -> None:
        """Write a vector past the indexer."""
        self.stack.s3vectors.put_vectors(
            vectorBucketName=VECTORS_BUCKET,
            indexName=index_name(fingerprint),
            vectors=[
                {
                    "key": vector_key(source),
                    "data": {"float32": numbers},
                    "metadata": {"source": source, **metadata},
                }
            ],
        )

    def remove_vector(self, source: str, fingerprint: str) -> None:
        """Delete a vector past the indexer."""
        self.stack.s3vectors.delete_vectors(
            vectorBucketName=VECTORS_BUCKET, indexName=index_name(fingerprint), keys=[vector_key(source)]
        )

    def sources(self, fingerprint: str) -> set[str]:
        """The objects whose vectors an index has."""
        pages = self.indexes.pages(index_name(fingerprint), metadata=True)
        return {vector["metadata"]["source"] for page in pages for vector in page}


def _wire(record: dict[str, Any]) -> dict[str, Any]:
    """A record as Lambda delivers it: bytes are base64."""

    def encoded(value: Any) -> Any:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, dict):
            return {name: encoded(each) for name, each in value.items()}
        return [encoded(each) for each in value] if isinstance(value, list) else value

    return {"eventSource": "aws:dynamodb", "dynamodb": encoded(record["dynamodb"])}


@contextmanager
def indexed_stack(monkeypatch: Any) -> Iterator[Indexing]:
    """A stack whose uploads bucket keeps versions."""
    with mock_aws(), s3vectors_server(S3Vectors()) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3VECTORS", endpoint)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        session = boto3.Session("test", "test", region_name="us-east-1")
        made = DeployedStack(StackRef(), session)
        for bucket in (UPLOADS_BUCKET, RESULTS_BUCKET):
            made.s3.create_bucket(Bucket=bucket)
        made.s3.put_bucket_versioning(Bucket=UPLOADS_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        table = made.dynamodb.create_table(
            TableName=TABLE_NAME,
            KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )["TableDescription"]
        queue, dead = (made.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("uploads", "dead"))
        outputs = {
            TABLE: TABLE_NAME,
            QUEUE: queue,
            DEAD_LETTERS: dead,
            FUNCTION: "function",
            UPLOADS: UPLOADS_BUCKET,
            RESULTS: RESULTS_BUCKET,
            VECTOR_BUCKET: VECTORS_BUCKET,
            INDEXER: "indexer",
            API: "api",
        }
        stack = DeployedStack(StackRef(), session, None, outputs)
        vars(stack)["s3vectors"] = s3vectors_client(endpoint)  # moto's own cannot be used beside the others
        stack.s3vectors.create_vector_bucket(vectorBucketName=VECTORS_BUCKET)
        streams = session.client("dynamodbstreams")
        arn = table["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        s3vectors = make_s3vectors(VECTORS_BUCKET)
        try:
            yield Indexing(stack, IndexWriter(s3vectors), streams, iterator)
        finally:
            s3vectors.client.connections.close()
            stack.s3vectors.close()
