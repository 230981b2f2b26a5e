"""Event source mappings with numbers, where the local AWS's CloudFormation would pass text on.

Its tables of resource types are private, so what is written into them is tested by creating and updating a stack.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from infra.local.s3vectors.asgi_types import App, Connection, Receive, Send
from infra.local.s3vectors.front import signed_for

_TYPE = "AWS::Lambda::EventSourceMapping"
_NUMBERS = frozenset(
    {
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "MaximumConcurrency",
        "MaximumRecordAgeInSeconds",
        "MaximumRetryAttempts",
        "ParallelizationFactor",
    }
)


def with_numbers_in_event_sources(app: App) -> App:
    """An application whose CloudFormation gives event source mappings the numbers of the template as numbers.

    Without it, CloudFormation passes the value of a `Number` parameter on as text. The poller of the queues then fails
    to compare `MaximumConcurrency`, and no function receives a message from any queue.

    Args:
        app: the local AWS.
    """

    async def application(connection: Connection, receive: Receive, send: Send) -> None:
        if signed_for(connection) == b"cloudformation":
            _wrap_handlers()
        await app(connection, receive, send)

    return application


@cache
def _wrap_handlers() -> None:
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415 - takes half a second to import

    handlers = provisioners._RESOURCE_HANDLERS[_TYPE]  # noqa: SLF001 - see above
    create, update = handlers["create"], handlers["update"]

    def create_with_numbers(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:  # noqa: ANN401 - ministack's
        return create(logical_id, with_numbers(properties), stack_name)

    def update_with_numbers(physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str) -> Any:  # noqa: ANN401 - ministack's
        return update(physical_id, with_numbers(old), with_numbers(new), stack_name)

    handlers.update(create=create_with_numbers, update=update_with_numbers)


def with_numbers(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of an event source mapping, with its numbers as numbers."""
    return {name: _with_number(name, value) for name, value in properties.items()}


def _with_number(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if name in _NUMBERS:
        return int(value)
    return with_numbers(value) if name == "ScalingConfig" else value
