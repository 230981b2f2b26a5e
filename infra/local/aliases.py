"""What the local AWS lacks of event source mappings and asynchronous events of a function's alias.

Its tables of resource types, and its functions, are private, so what is written into them is tested by deploying stacks
and uploading images.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from infra.local.s3vectors.asgi_types import App, Connection, Receive, Send
from infra.local.s3vectors.front import signed_for

_TYPE = "AWS::Lambda::EventSourceMapping"


def with_aliases(app: App) -> App:
    """An application whose event source mappings and asynchronous events follow an alias.

    Without it, a mapping that CloudFormation changes from a function to its alias still invokes the latest code, and
    the failed events of a published version get lost.

    Args:
        app: the local AWS.
    """

    async def application(connection: Connection, receive: Receive, send: Send) -> None:
        if signed_for(connection) == b"cloudformation":
            _wrap()
        await app(connection, receive, send)

    return application


@cache
def _wrap() -> None:
    from ministack.services import lambda_svc  # noqa: PLC0415 - takes half a second to import
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415 - likewise

    handlers = provisioners._RESOURCE_HANDLERS[_TYPE]  # noqa: SLF001 - see above
    update = handlers["update"]

    def update_alias(physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str) -> Any:  # noqa: ANN401 - ministack's
        updated = update(physical_id, old, new, stack_name)
        mapping = lambda_svc._esms[updated[0]]  # noqa: SLF001
        _, mapping["Qualifier"] = lambda_svc._resolve_name_and_qualifier(new["FunctionName"])  # noqa: SLF001
        return updated

    handlers.update(update=update_alias)
    original = lambda_svc.invoke_async_with_retry
    lambda_svc.invoke_async_with_retry = _with_destination(original, lambda_svc._functions)  # noqa: SLF001


def _with_destination(original: Callable[..., None], functions: Mapping[str, Any]) -> Callable[..., None]:
    """Have the failed events of a version go where the configuration of the alias says that names the version."""

    def invoke(function: dict[str, Any], event: dict[str, Any]) -> None:
        config = function.get("config") or function
        base = functions.get(config["FunctionName"]) or {}
        configured = base.get("event_invoke_configs", {})
        found = [configured[name] for name in _aliases_of(base, config["Version"]) if name in configured]
        original({**function, "event_invoke_config": found[0]} if found else function, event)

    return invoke


def _aliases_of(function: Mapping[str, Any], version: str) -> list[str]:
    return [name for name, alias in function.get("aliases", {}).items() if alias["FunctionVersion"] == version]
