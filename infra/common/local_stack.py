"""The stack on the local AWS: the names of its parts, and the file by which other processes find it."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from infra.common.errors import OperatorError
from infra.common.local_session import CONFIG, session
from infra.common.paths import UP

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

STACK_FILE = UP / "stack.json"


@dataclass(frozen=True)
class Stack:
    """A deployed stack: the names of its parts, and clients that reach them."""

    endpoint: str
    region: str
    uploads_bucket: str
    results_bucket: str
    table: str
    function: str
    queue_url: str
    dead_letter_queue_url: str
    swapped: tuple[str, ...]

    def source(self, key: str) -> str:
        """The table's key for an uploaded object."""
        return f"s3://{self.uploads_bucket}/{key}"

    @cached_property
    def s3(self) -> "S3Client":
        """S3; thread-safe, like every client."""
        client: S3Client = session().client("s3", endpoint_url=self.endpoint, config=CONFIG)
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        client: DynamoDBClient = session().client("dynamodb", endpoint_url=self.endpoint, config=CONFIG)
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        client: SQSClient = session().client("sqs", endpoint_url=self.endpoint, config=CONFIG)
        return client

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """Lambda."""
        client: LambdaClient = session().client("lambda", endpoint_url=self.endpoint, config=CONFIG)
        return client

    def to_json(self) -> str:
        """For `from_json`, in another process."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Stack":
        """The stack that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**(fields | {"swapped": tuple(fields["swapped"])}))


def running() -> Stack:
    """The stack of the `up` that runs in this folder.

    Raises:
        OperatorError: none does.
    """
    try:
        return Stack.from_json(STACK_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        raise OperatorError("no local AWS is running: start one in another terminal with `make up`") from None
