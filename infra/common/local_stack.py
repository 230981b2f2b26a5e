"""The stack on the local AWS: the names of its resources, and the file where other processes read them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from infra.common.errors import OperatorError
from infra.common.local_session import CONFIG, REGION, session
from infra.common.paths import UP
from infra.common.program import command

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

STACK_FILE = UP / "stack.json"


@dataclass(frozen=True)
class Stack:
    """A deployed stack: the names of its resources, and clients for them.

    Attributes:
        vector_bucket: S3 vector bucket of the search indexes; None without search, like the next two.
        indexer: name of the function that keeps the index.
        api: name of the function that searches.
        api_url: address of the HTTP API; None without one.
        token: of the HTTP API; None if it needs none.
        swapped: logical names of the functions that run as a zip instead of a container image.
    """

    endpoint: str
    region: str
    uploads_bucket: str
    results_bucket: str
    table: str
    function: str
    queue_url: str
    dead_letter_queue_url: str
    vector_bucket: str | None
    indexer: str | None
    api: str | None
    api_url: str | None
    token: str | None
    swapped: tuple[str, ...]

    @classmethod
    def of(
        cls,
        endpoint: str,
        outputs: Mapping[str, str],
        *,
        api_url: str | None = None,
        token: str | None = None,
        swapped: tuple[str, ...] = (),
    ) -> "Stack":
        """A stack with these outputs, on the local AWS at this URL."""
        return cls(
            endpoint=endpoint,
            region=REGION,
            uploads_bucket=outputs["UploadsBucket"],
            results_bucket=outputs["ResultsBucket"],
            table=outputs["TableName"],
            function=outputs["FunctionName"],
            queue_url=outputs["QueueUrl"],
            dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
            vector_bucket=outputs.get("VectorBucketName"),
            indexer=outputs.get("IndexerName"),
            api=outputs.get("ApiName"),
            api_url=api_url,
            token=token,
            swapped=swapped,
        )

    def source(self, key: str) -> str:
        """The table key (`source`) of an uploaded object."""
        return f"s3://{self.uploads_bucket}/{key}"

    @cached_property
    def s3(self) -> "S3Client":
        """S3. All clients are thread-safe."""
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

    @cached_property
    def s3vectors(self) -> Any:  # noqa: ANN401 - there is no type package for it
        """S3 Vectors."""
        make_client: Any = session().client
        return make_client("s3vectors", endpoint_url=self.endpoint, config=CONFIG)

    def to_json(self) -> str:
        """The stack as JSON, for `from_json` in another process."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Stack":
        """Read the JSON of `to_json`."""
        fields = json.loads(text)
        return cls(**(fields | {"swapped": tuple(fields["swapped"])}))


def page_address(stack: Stack) -> str:
    """The address of the gallery, with the token where the page reads it and no server does."""
    return f"{stack.api_url}/#token={quote(stack.token or '', safe='')}"


def running() -> Stack:
    """The stack of the `up` command that is running in this folder.

    Raises:
        OperatorError: none is running.
    """
    try:
        return Stack.from_json(STACK_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        raise OperatorError(
            f"no local AWS is running; start one in another terminal with `{command('up', make='up')}`"
        ) from None
