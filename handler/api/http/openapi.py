"""The OpenAPI 3.1 document of the routes.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from functools import cache
from typing import Any

from handler.api.http.definitions import SCHEMAS
from handler.api.http.request import MAX_BODY_BYTES
from handler.api.http.response import RETRY_SECONDS
from handler.api.http.routes import JSON, ROUTES, Answer, Parameter, Route

_REASONS = {
    400: "The request is invalid.",
    401: "The token is missing or wrong.",
    404: "There is no such object.",
    405: "The route does not have this method.",
    409: "The object has no vector in the index yet.",
    413: f"The body has more than {MAX_BODY_BYTES} bytes: use POST /uploads.",
    415: "The body has another content type than the route takes.",
    422: "The picture cannot be embedded; error_code says why.",
    503: f"AWS failed, or throttles. Try again after `Retry-After` seconds ({RETRY_SECONDS}).",
}
_EVERYWHERE = (400, 405)
_WITH_BODY = (413, 415)
_WITH_TOKEN = (401, 503)


@cache
def openapi() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    one_of = [{"$ref": "#/components/schemas/Item"}, {"$ref": "#/components/schemas/Items"}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dropvec",
            "version": "1",
            "description": "Search and embed pictures. Errors have one shape, and a stable `error_code`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, "ItemOrItems": {"anyOf": one_of}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {str(status): _answer(answer) for status, answer in route.answers.items()}
        | {str(status): _error(status) for status in _statuses(route)},
    }
    if route.is_public:
        operation["security"] = []
    if route.parameters:
        operation["parameters"] = [_parameter(route, each) for each in route.parameters]
    if route.bodies:
        content = {media_type: {"schema": dict(schema)} for media_type, schema in route.bodies.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _statuses(route: Route) -> list[int]:
    with_body = _WITH_BODY if route.bodies else ()
    with_token = () if route.is_public else _WITH_TOKEN
    return sorted({*_EVERYWHERE, *with_body, *with_token, *route.errors})


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.media_type is not None:
        schema = {"$ref": f"#/components/schemas/{answer.schema}"} if answer.schema else {}
        described["content"] = {answer.media_type: {"schema": schema} if answer.media_type == JSON else {}}
    return described


def _error(status: int) -> dict[str, Any]:
    return {"description": _REASONS[status], "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _parameter(route: Route, parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.name in route.path_names else "query",
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
