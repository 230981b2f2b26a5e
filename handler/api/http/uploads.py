"""`POST /uploads`: a form with which a browser uploads one file, of any size that is embedded, to S3."""

import uuid

from handler.api.http.call import Call
from handler.api.http.response import HttpResponse, json_response
from handler.api.http.scope import file_name
from handler.api.http.services import Services

SECONDS = 900


def create_upload(services: Services, call: Call) -> HttpResponse:
    """A presigned form for one new key.

    Raises:
        RequestError: the file's name does not fit the stack's filters.
    """
    name = file_name(call.body["filename"])
    key = services.scope.new_key(f"uploads/{uuid.uuid4()}/", name)
    limit = services.limits.max_bytes
    form = services.presigner.post(services.scope.bucket, key, call.body["content_type"], limit, SECONDS)
    return json_response(
        {
            "url": form.url,
            "fields": form.fields,
            "source": services.scope.source(key),
            "max_bytes": limit,
            "expires_in": SECONDS,
        }
    )
