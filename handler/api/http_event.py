"""Distinguish HTTP requests from direct invocations."""

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_http(event: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether an event is an HTTP request in payload format 2.0, and not a direct invocation."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    return isinstance(context, Mapping) and isinstance(context.get("http"), Mapping)
