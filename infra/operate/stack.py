"""A deployed stack: the names of its resources, and clients for them.

By default the names are the outputs of a CloudFormation stack, in the account that the AWS variables and `~/.aws`
select; AWS_ENDPOINT_URL works as in every SDK. With --local they come from the file that a running `make up` writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.common.aws_session import user_session
from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudformation.type_defs import StackTypeDef
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

# The outputs of infra/template.yaml, and the command line option that overrides each.
TABLE, QUEUE, DEAD_LETTERS, FUNCTION = "TableName", "QueueUrl", "DeadLetterQueueUrl", "FunctionName"
UPLOADS, RESULTS = "UploadsBucket", "ResultsBucket"
VECTOR_BUCKET, INDEXER, API = "VectorBucketName", "IndexerName", "ApiName"  # absent without search
_OPTIONS = {TABLE: "--table", QUEUE: "--queue", DEAD_LETTERS: "--dead-letters", FUNCTION: "--function"}

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 8},
    max_pool_connections=32,
    connect_timeout=10,
    read_timeout=900,  # the longest direct invocation: Lambda's maximum timeout
)


@dataclass(frozen=True)
class StackRef:
    """Which stack to use, as given on the command line.

    Attributes:
        stack: the CloudFormation stack's name.
        region: None for the SDK's default.
        profile: a profile of `~/.aws`; None for the SDK's default.
        local: whether to use the stack of the running `make up`.
        overrides: resource names given on the command line, by output key.
    """

    stack: str = "dropvec"
    region: str | None = None
    profile: str | None = None
    local: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeployedStack:
    """The names of a stack's resources, and clients. Each is looked up on first use.

    Attributes:
        ref: which stack.
        session: the boto3 session.
        endpoint: URL of every service; None for the SDK's default.
        known_outputs: the stack's outputs, where they are known without asking CloudFormation.
    """

    ref: StackRef
    session: boto3.Session
    endpoint: str | None = None
    known_outputs: Mapping[str, str] | None = None

    @property
    def table(self) -> str:
        """The table's name."""
        return self.resource(TABLE)

    @property
    def queue_url(self) -> str:
        """URL of the queue that the function reads."""
        return self.resource(QUEUE)

    @property
    def dead_letter_queue_url(self) -> str:
        """URL of the dead-letter queue."""
        return self.resource(DEAD_LETTERS)

    @property
    def function(self) -> str:
        """The function's name."""
        return self.resource(FUNCTION)

    def resource(self, output: str) -> str:
        """The name or URL of a resource.

        Raises:
            OperatorError: neither the command line nor the stack's outputs have it.
        """
        found = self.find_resource(output)
        if found is None:
            option = f": give it with {_OPTIONS[output]}" if output in _OPTIONS else ""
            raise OperatorError(f"the stack {self.ref.stack} has no output {output}{option}")
        return found

    def find_resource(self, output: str) -> str | None:
        """The name or URL of a resource, or None.

        Raises:
            OperatorError: the stack does not exist.
        """
        return self.ref.overrides.get(output) or self.outputs.get(output)

    def find_resource_of_optional_stack(self, output: str) -> str | None:
        """Like `find_resource`, but None if the stack does not exist, because options can replace a stack."""
        try:
            return self.find_resource(output)
        except OperatorError:
            return None

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by key.

        Raises:
            OperatorError: the stack does not exist.
        """
        if self.known_outputs is not None:
            return self.known_outputs
        return {output["OutputKey"]: output["OutputValue"] for output in self._stack.get("Outputs", [])}

    @property
    def key_filters(self) -> tuple[str, str]:
        """The stack's KeyPrefix and KeySuffix; the function cannot read other keys of the uploads bucket.

        Raises:
            OperatorError: the stack does not exist.
        """
        if self.known_outputs is not None:
            return "", ""
        return self.parameters.get("KeyPrefix", ""), self.parameters.get("KeySuffix", "")

    @property
    def results_prefix(self) -> str:
        """The stack's ResultsPrefix, which every result key begins with.

        Raises:
            OperatorError: the stack does not exist.
        """
        return "" if self.known_outputs is not None else self.parameters.get("ResultsPrefix", "")

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The stack's parameters.

        Raises:
            OperatorError: the stack does not exist.
        """
        return {each["ParameterKey"]: each["ParameterValue"] for each in self._stack.get("Parameters", [])}

    @cached_property
    def _stack(self) -> "StackTypeDef":
        try:
            (stack,) = self.cloudformation.describe_stacks(StackName=self.ref.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise OperatorError(
                f"there is no stack {self.ref.stack} in {self.session.region_name}: check --stack and --region"
            ) from None
        return stack

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation client."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """S3 client."""
        client: S3Client = self._client("s3")
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB client."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS client."""
        client: SQSClient = self._client("sqs")
        return client

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """Lambda client."""
        client: LambdaClient = self._client("lambda")
        return client

    @cached_property
    def s3vectors(self) -> Any:  # noqa: ANN401 - not worth a type package for a few calls
        """S3 Vectors client."""
        return self._client("s3vectors")

    @cached_property
    def cloudwatch(self) -> Any:  # noqa: ANN401 - not worth a type package for one call
        """CloudWatch client."""
        return self._client("cloudwatch")

    def _client(self, service: str) -> Any:  # noqa: ANN401 - each caller names its type
        make_client: Any = self.session.client
        return make_client(service, endpoint_url=self.endpoint, config=_CONFIG)


def connect(ref: StackRef) -> DeployedStack:
    """Prepare access to a stack. This makes no AWS call.

    Raises:
        OperatorError: `--local` without a running `make up`, the profile is unknown, or no region is set.
    """
    if ref.local:
        return _connect_local(ref)
    with aws_errors_as_operator_errors():
        session = user_session(ref.region, ref.profile)
    if not session.region_name:
        raise OperatorError("no region is set: use --region or AWS_REGION (or --local for the stack of a running `up`)")
    return DeployedStack(ref, session)


def _connect_local(ref: StackRef) -> DeployedStack:
    from infra.common.local_session import session  # noqa: PLC0415 - needed for --local only
    from infra.common.local_stack import running  # noqa: PLC0415 - likewise

    stack = running()
    search = {VECTOR_BUCKET: stack.vector_bucket, INDEXER: stack.indexer, API: stack.api}
    outputs = {
        TABLE: stack.table,
        QUEUE: stack.queue_url,
        DEAD_LETTERS: stack.dead_letter_queue_url,
        FUNCTION: stack.function,
        UPLOADS: stack.uploads_bucket,
        RESULTS: stack.results_bucket,
        **{name: value for name, value in search.items() if value is not None},
    }
    return DeployedStack(ref, session(), stack.endpoint, outputs)


@contextmanager
def aws_errors_as_operator_errors() -> Iterator[None]:
    """Turn error responses of AWS, and failures to reach it, into OperatorErrors of one line."""
    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        text = f"{error.operation_name}: {details.get('Code', 'unknown')}: {details.get('Message', '')}"
        raise OperatorError(" ".join(text.split())[:500]) from None
    except BotoCoreError as error:
        raise OperatorError(" ".join(str(error).split())[:500]) from None
