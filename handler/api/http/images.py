"""`GET /images`: where to read the original."""

from handler.api.http.call import Call
from handler.api.http.items import visible_item
from handler.api.http.response import HttpResponse, json_response
from handler.api.http.services import Services
from handler.results.item import text_of

SECONDS = 900


def image(services: Services, call: Call) -> HttpResponse:
    """Redirect to a presigned URL, or return it as JSON to a client that asks for that.

    The URL sets the content type that the bytes have, whatever the uploader said; a file that is no picture is only
    downloaded.

    Raises:
        MissingObjectError: the object has no item, or is outside the scope.
        RetryableError: DynamoDB failed.
    """
    source = call.parameters["source"]
    item = visible_item(services, source, call.deadline)
    sniffed = text_of(item, "format")
    overrides = [("response-content-type", f"image/{sniffed}" if sniffed else "application/octet-stream")]
    if sniffed is None:
        overrides.append(("response-content-disposition", "attachment"))
    url = services.presigner.get(services.scope.bucket, services.scope.key_of(source), SECONDS, overrides)
    if call.request.accepts("application/json"):
        return json_response({"url": url, "expires_in": SECONDS})
    return HttpResponse(302, headers={"location": url}, media_type="text/plain; charset=utf-8")
