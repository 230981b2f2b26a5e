"""The entry point of the function `Api`: a search request or an HTTP request -> its answer."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from handler.api.http_event import is_http
from handler.api.items import ItemReader
from handler.api.query import parse_request
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.aws.clients import Clients, make_clients
from handler.aws.sdk.s3vectors import S3Vectors
from handler.errors import DropvecError, SearchOffError
from handler.frozen import frozen
from handler.log import log, with_typed_errors
from handler.model.identity import ModelIdentity, load_identity
from handler.settings import ApiSettings, HttpSettings, read_api_settings
from handler.timing import Deadline, LambdaContext

if TYPE_CHECKING:
    from handler.api.http.services import Services


@frozen
class Api:
    """The function's parts, made once at cold start.

    Attributes:
        identity: the model of the bundle.
        search: None where the stack has no index.
        make_services: makes what HTTP requests need; None where the stack takes none.
    """

    identity: ModelIdentity
    search: Search | None
    make_services: "Callable[[], Services] | None" = None

    def answer(self, body: object, deadline: Deadline) -> dict[str, Any]:
        """Answer a search request, or the check `{"check": true}` with the model; never raises."""
        if body == {"check": True}:
            return {"status": "ok", "model": self.identity.name, "fingerprint": self.identity.fingerprint}
        try:
            if self.search is None:
                raise SearchOffError("this stack has no index: set its parameter Search to true")
            search = self.search
            return with_typed_errors(lambda: search.answer(parse_request(body), deadline))
        except DropvecError as error:
            return error_answer(error)


def error_answer(error: DropvecError) -> dict[str, Any]:
    """The one shape of every error."""
    return {"status": "error", "error": str(error), "error_code": error.code}


def start(environment: Mapping[str, str]) -> Api:
    """Put the parts together; no tower is loaded yet.

    Raises:
        SettingsError: a setting is missing or invalid.
        BundleError: there is no model bundle.
    """
    try:
        settings = read_api_settings(environment)
        identity, bucket = load_identity(settings.model_dir), settings.vector_bucket
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        towers = Towers(settings.model_dir, identity, limits)
        clients = make_clients()
        search = None if bucket is None else _search(clients, settings, towers, bucket)
        make_services = None
        if settings.http is not None:
            make_services = partial(_services, clients, settings.http, towers, search, settings)
        return Api(identity, search, make_services)
    except DropvecError:
        sys.tracebacklimit = 0  # the message says what to set
        raise


def _search(clients: Clients, settings: ApiSettings, towers: Towers, vector_bucket: str) -> Search:
    s3vectors = S3Vectors(clients.s3.client, clients.s3.endpoints, vector_bucket)
    return Search(s3vectors, ItemReader(clients.dynamodb, settings.table_name), towers)


def _services(
    clients: Clients, http: HttpSettings, towers: Towers, search: Search | None, settings: ApiSettings
) -> "Services":
    from handler.api.http.services import make_services  # noqa: PLC0415 - for HTTP requests only

    return make_services(clients, http, towers, search, settings.table_name)


_api = start(os.environ)


@cache
def _http_services() -> "Services | None":
    """What HTTP requests need, made when the first one arrives; None where the stack takes none."""
    return None if _api.make_services is None else _api.make_services()


def handler(event: object, context: LambdaContext | None = None) -> dict[str, Any]:
    """Answer one invocation.

    Args:
        event: a search request, or an HTTP request of a Function URL or an HTTP API.
        context: Lambda's; gives the time that is left.
    """
    deadline = Deadline.from_context(context)
    if is_http(event):
        from handler.api.http.server import serve  # noqa: PLC0415 - for HTTP requests only

        return serve(_http_services(), event, deadline, context.aws_request_id if context else None)
    answer = _api.answer(event, deadline)
    log(
        {
            "level": "INFO" if answer["status"] == "ok" else "ERROR",
            "request_id": context.aws_request_id if context else None,
            "hits": len(answer.get("hits", ())),
            **{name: answer[name] for name in ("error_code", "error") if name in answer},
        }
    )
    return answer
