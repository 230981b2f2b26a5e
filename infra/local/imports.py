"""What the local AWS lacks to create a stack again: the import of bucket policies, and the list of deleted stacks.

CloudFormation's tables are private, so what is written into them is tested by deleting a stack and creating it again.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from infra.local.s3vectors.asgi_types import App, Connection, Receive, Send
from infra.local.s3vectors.front import signed_for

Handler = Callable[[Mapping[str, Any]], Any]

_POLICY_TYPE = "AWS::S3::BucketPolicy"


def with_imports(app: App) -> App:
    """An application whose CloudFormation imports bucket policies, and lists deleted stacks whose name is used again.

    Args:
        app: the local AWS.
    """

    async def application(connection: Connection, receive: Receive, send: Send) -> None:
        if signed_for(connection) == b"cloudformation":
            _complete()
        await app(connection, receive, send)

    return application


@cache
def _complete() -> None:
    from ministack.services.cloudformation import handlers, provisioners  # noqa: PLC0415 - takes half a second

    provisioners._RESOURCE_HANDLERS[_POLICY_TYPE]["import"] = _import_bucket_policy  # noqa: SLF001 - see above
    for action in ("CreateChangeSet", "CreateStack"):
        answer = handlers._ACTION_HANDLERS[action]  # noqa: SLF001
        handlers._ACTION_HANDLERS[action] = _keeping_deleted(answer)  # noqa: SLF001


def _import_bucket_policy(identifier: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    return f"{identifier['Bucket']}-policy", {}  # as the local AWS names a policy that it creates


def _keeping_deleted(answer: Handler) -> Handler:
    """The handler of a request that creates a stack, which keeps the deleted stack of the same name under its id."""
    from ministack.services import cloudformation  # noqa: PLC0415 - see above
    from ministack.services.cloudformation import helpers  # noqa: PLC0415

    def handler(request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the handler's
        stacks = cloudformation._stacks  # noqa: SLF001
        name = helpers._p(request, "StackName")  # noqa: SLF001
        earlier = stacks.get(name)
        if earlier is not None and earlier["StackStatus"] == "DELETE_COMPLETE":
            stacks[earlier["StackId"]] = stacks.pop(name)
        return answer(request)

    return handler
