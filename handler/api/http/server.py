"""An HTTP event -> its answer: route, token, parameters and body are checked before a route's function runs."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from handler.api.http.call import Call
from handler.api.http.multipart import Form, read_form
from handler.api.http.request import HttpRequest, read_request
from handler.api.http.response import HttpResponse, error_response
from handler.api.http.routes import FORM, JSON, Route, find_route
from handler.api.http.schema import Schema, read_text, validate
from handler.api.http.services import Services
from handler.errors import ApiOffError, DropvecError, MediaTypeError, MethodError, MissingObjectError, RequestError
from handler.frozen import frozen
from handler.log import log, with_typed_errors
from handler.timing import Deadline


@frozen
class Answered:
    """An answer, and what the log says about its request.

    Attributes:
        response: the answer.
        route: the name of the route; None if there is none.
        error: why it is no success.
    """

    response: HttpResponse
    route: str | None
    error: DropvecError | None = None


def serve(
    services: Services | None, event: Mapping[str, Any], deadline: Deadline, request_id: str | None
) -> dict[str, Any]:
    """Answer an event in payload format 2.0; never raises.

    Args:
        services: None if the stack takes no HTTP requests.
        event: the request.
        deadline: when the answer must be given.
        request_id: of the invocation, for the log.
    """
    started = time.perf_counter()
    request = read_request(event)
    answered = _answer(services, request, deadline)
    # Neither path, query, headers nor error texts of refused requests: they may have a token or a picture in them.
    line = {
        "level": "ERROR" if answered.response.status >= 500 else "INFO",
        "request_id": request_id,
        "method": request.method if request.method in _METHODS else "other",
        "route": answered.route,
        "status": answered.response.status,
        "ms": round((time.perf_counter() - started) * 1000, 3),
        "bytes": len(answered.response.body),
    }
    if answered.error is not None:
        line["error_code"] = answered.error.code
        if answered.response.status >= 500:
            line["error"] = str(answered.error)
    log(line)
    return answered.response.to_payload(with_body=request.method != "HEAD")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _answer(services: Services | None, request: HttpRequest, deadline: Deadline) -> Answered:
    route: Route | None = None
    try:
        if services is None:
            raise ApiOffError("this stack takes no HTTP requests: set its parameter Api to token or iam")
        match = find_route("GET" if request.method == "HEAD" else request.method, request.path)
        route = match.route
        is_public = route is not None and route.is_public
        if services.token is not None and not is_public:
            check = partial(services.token.require, request.headers.get("authorization", ""), deadline)
            with_typed_errors(check)
        if route is None:
            raise _no_route(request, match.methods)
        run = partial(_run, services, route, match.parameters, request, deadline)
        return Answered(with_typed_errors(run), route.name)
    except DropvecError as error:
        return Answered(error_response(error), route.name if route else None, error)


def _no_route(request: HttpRequest, allowed: tuple[str, ...]) -> DropvecError:
    if not allowed:
        return MissingObjectError("there is no such route; GET /openapi.json lists all of them")
    return MethodError(f"{request.method[:20]} is not a method of this route; it has {', '.join(allowed)}", allowed)


def _run(
    services: Services, route: Route, found: Mapping[str, str], request: HttpRequest, deadline: Deadline
) -> HttpResponse:
    parameters = _parameters(route, found, request)
    body, form = _body(route, request) if route.bodies else (None, None)
    return route.run(services, Call(request, parameters, body, form, deadline))


def _parameters(route: Route, found: Mapping[str, str], request: HttpRequest) -> dict[str, Any]:
    query = request.query()
    names = [each.name for each in route.parameters if each.name not in route.path_names]
    unknown = sorted(query.keys() - set(names))
    if unknown and not route.is_public:
        takes = ", ".join(names) if names else "none"
        raise RequestError(
            f"unknown parameter {', '.join(each[:40] for each in unknown[:5])}; this route takes {takes}"
        )
    parameters: dict[str, Any] = {}
    for each in route.parameters:
        values = [found[each.name]] if each.name in found else query.get(each.name, [])
        if len(values) > 1:
            raise RequestError(f"{each.name} is given {len(values)} times")
        if values:
            parameters[each.name] = read_text(each.schema, values[0], each.name)
        elif each.is_required:
            raise RequestError(f"the parameter {each.name} is missing: {each.description}")
        elif "default" in each.schema:
            parameters[each.name] = each.schema["default"]
    return parameters


def _body(route: Route, request: HttpRequest) -> tuple[Any, Form | None]:
    media_type = request.media_type()
    if media_type == FORM and FORM in route.bodies:
        form = read_form(request.headers.get("content-type", ""), request.body())
        return _fields(route.bodies[FORM], form), form
    if JSON in route.bodies and (media_type in {"", JSON} or media_type.endswith("+json")):
        content = request.json()
        validate(route.bodies[JSON], content, "the body")
        return content, None
    request.body()  # a body that is too large is 413 in any case
    raise MediaTypeError(f"the content type is {media_type[:60]!r}; this route takes {' or '.join(route.bodies)}")


def _fields(schema: Schema, form: Form) -> dict[str, Any]:
    """The fields of a form, converted and checked; `file` holds the bytes of the files."""
    properties = schema["properties"]
    values: dict[str, Any] = {"file": [file.data for file in form.files]} if form.files else {}
    for name, texts in form.fields.items():
        if name not in properties:
            raise RequestError(f"unknown field {name[:40]!r}; the form takes {', '.join(properties)}")
        if len(texts) > 1:
            raise RequestError(f"{name} is given {len(texts)} times")
        values[name] = read_text(properties[name], texts[0], name)
    validate(schema, values, "the form")
    return values
