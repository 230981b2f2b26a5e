"""`POST /search`: the same request as a direct invocation, or a form with a picture."""

import base64
from typing import Any

from handler.api.http.call import Call
from handler.api.http.response import MAX_JSON_BYTES, HttpResponse, json_response
from handler.api.http.scope import Scope
from handler.api.http.services import Services
from handler.api.query import SearchRequest, Source, parse_request
from handler.errors import SearchOffError
from handler.sizes import check_size


def search(services: Services, call: Call) -> HttpResponse:
    """Search; hits outside the scope are left out.

    Raises:
        DropvecError: see `Search.answer`.
    """
    if services.search is None:
        raise SearchOffError("this stack has no index: set its parameter Search to true")
    request = parse_request(_body(services, call))
    _require_sources(request, services.scope)
    answer = services.search.answer(request, call.deadline, MAX_JSON_BYTES)
    hits = [hit for hit in answer["hits"] if services.scope.contains(hit["source"] or "")]
    return json_response({**answer, "hits": hits})


def _body(services: Services, call: Call) -> Any:  # noqa: ANN401 - any JSON; `parse_request` checks it
    if call.form is None:
        return call.body
    for file in call.form.files:
        check_size(len(file.data), services.limits.max_bytes)
    pictures = [{"image": base64.b64encode(file.data).decode()} for file in call.form.files]
    return {
        **{name: value for name, value in call.body.items() if name != "file"},
        "query": pictures[0] if len(pictures) == 1 else pictures,
    }


def _require_sources(request: SearchRequest, scope: Scope) -> None:
    for term in request.terms:
        if isinstance(term.subject, Source):
            scope.key_of(term.subject.address)  # raises if it is outside
