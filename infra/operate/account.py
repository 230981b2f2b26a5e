"""Where a stack is: its parts by name, and clients that reach them.

By default the names are a CloudFormation stack's outputs, in the account that the AWS variables and `~/.aws` name;
AWS_ENDPOINT_URL means what it means to every SDK. The running `make up` of this folder is found by its own file.
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

# The outputs of infra/template.yaml, and the option that stands in for each.
TABLE, QUEUE, DEAD_LETTERS, FUNCTION = "TableName", "QueueUrl", "DeadLetterQueueUrl", "FunctionName"
UPLOADS, RESULTS = "UploadsBucket", "ResultsBucket"
_OPTIONS = {TABLE: "--table", QUEUE: "--queue", DEAD_LETTERS: "--dead-letters", FUNCTION: "--function"}

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 8},
    max_pool_connections=32,
    connect_timeout=10,
    read_timeout=900,  # a direct invocation lasts as long as the function may
)


@dataclass(frozen=True)
class Where:
    """What the command line says of the place.

    Attributes:
        stack: the CloudFormation stack's name.
        region: None takes the SDK's own.
        profile: of `~/.aws`; None takes the SDK's own.
        local: whether the running `make up` is meant.
        given: parts named on the command line, by output.
    """

    stack: str = "dropvec"
    region: str | None = None
    profile: str | None = None
    local: bool = False
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """The parts of a stack, and clients; all are looked up when they are first asked for.

    Attributes:
        where: what was asked for.
        session: of boto3.
        endpoint: of every service; None leaves it to the SDK.
    """

    where: Where
    session: boto3.Session
    endpoint: str | None = None
    known: Mapping[str, str] | None = None

    @property
    def table(self) -> str:
        """The table's name."""
        return self.part(TABLE)

    @property
    def queue_url(self) -> str:
        """The queue that the function reads."""
        return self.part(QUEUE)

    @property
    def dead_letter_queue_url(self) -> str:
        """The queue of what failed too often."""
        return self.part(DEAD_LETTERS)

    @property
    def function(self) -> str:
        """The function's name."""
        return self.part(FUNCTION)

    def part(self, output: str) -> str:
        """A part's name.

        Raises:
            OperatorError: neither the command line nor the stack names it.
        """
        found = self.find(output)
        if found is None:
            option = f": name it with {_OPTIONS[output]}" if output in _OPTIONS else ""
            raise OperatorError(f"the stack {self.where.stack} has no output {output}{option}")
        return found

    def find(self, output: str) -> str | None:
        """A part's name, or None.

        Raises:
            OperatorError: there is no such stack.
        """
        return self.where.given.get(output) or self.outputs.get(output)

    def find_if_any(self, output: str) -> str | None:
        """The same, and None too where there is no stack, since all that is needed was named on the command line."""
        try:
            return self.find(output)
        except OperatorError:
            return None

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs.

        Raises:
            OperatorError: there is no such stack.
        """
        if self.known is not None:
            return self.known
        return {output["OutputKey"]: output["OutputValue"] for output in self._stack.get("Outputs", [])}

    @property
    def key_filters(self) -> tuple[str, str]:
        """What keys of the uploads bucket must begin and end with; the function may read no others.

        Raises:
            OperatorError: there is no such stack.
        """
        if self.known is not None:
            return "", ""
        chosen = {one["ParameterKey"]: one["ParameterValue"] for one in self._stack.get("Parameters", [])}
        return chosen.get("KeyPrefix", ""), chosen.get("KeySuffix", "")

    @cached_property
    def _stack(self) -> "StackTypeDef":
        try:
            (stack,) = self.cloudformation.describe_stacks(StackName=self.where.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise OperatorError(
                f"there is no stack {self.where.stack} in {self.session.region_name}: name it with --stack and --region"
            ) from None
        return stack

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        client: S3Client = self._client("s3")
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        client: SQSClient = self._client("sqs")
        return client

    @cached_property
    def lambda_(self) -> "LambdaClient":
        """Lambda."""
        client: LambdaClient = self._client("lambda")
        return client

    @cached_property
    def cloudwatch(self) -> Any:  # noqa: ANN401 - one call does not need its types
        """CloudWatch."""
        return self._client("cloudwatch")

    def _client(self, service: str) -> Any:  # noqa: ANN401 - each caller names its type
        make: Any = self.session.client
        return make(service, endpoint_url=self.endpoint, config=_CONFIG)


def find(where: Where) -> Account:
    """Make ready to reach a stack; nothing is asked yet.

    Raises:
        OperatorError: `make up` is meant and does not run, the profile is unknown, or no region is set.
    """
    if where.local:
        return _local(where)
    with told_in_one_line():
        found = user_session(where.region, where.profile)
    if not found.region_name:
        raise OperatorError(
            "no region is set: name it with --region or AWS_REGION (or --local for what `make up` runs)"
        )
    return Account(where, found)


def _local(where: Where) -> Account:
    from infra.common.local_session import session  # noqa: PLC0415 - of the local AWS only
    from infra.common.local_stack import running  # noqa: PLC0415 - likewise

    stack = running()
    known = {
        TABLE: stack.table,
        QUEUE: stack.queue_url,
        DEAD_LETTERS: stack.dead_letter_queue_url,
        FUNCTION: stack.function,
        UPLOADS: stack.uploads_bucket,
        RESULTS: stack.results_bucket,
    }
    return Account(where, session(), stack.endpoint, known)


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what AWS refuses, and what keeps it from being reached, into an OperatorError."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        text = f"{error.operation_name}: {told.get('Code', 'unknown')}: {told.get('Message', '')}"
        raise OperatorError(" ".join(text.split())[:500]) from None
    except BotoCoreError as error:
        raise OperatorError(" ".join(str(error).split())[:500]) from None
