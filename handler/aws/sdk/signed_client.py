"""Sign a request and send it."""

import os
import time
from dataclasses import replace

from handler.aws.sdk.connections import Connections, HttpResponse
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.signing import CredentialScope, UnsignedRequest, encode_query, percent_encode, signed_headers
from handler.frozen import frozen

# Not signed, because proxies may change them.
_UNSIGNED_HEADERS = {"accept-encoding": "identity", "user-agent": "dropvec"}


@frozen
class SignedClient:
    """Signs requests and sends them."""

    connections: Connections
    credentials: CredentialsProvider

    def send(self, endpoint: Endpoint, request: UnsignedRequest, *, service: str, region: str) -> HttpResponse:
        """Sign a request and send it.

        Args:
            endpoint: the server; its path is prepended to the request's path.
            request: the request, without the `host` header.
            service: the service's name in the signature.
            region: the region that serves the request.

        Raises:
            SdkError: no response.
        """
        headers = {"host": endpoint.authority, **request.headers}
        request = replace(request, path=endpoint.path + request.path or "/", headers=headers)
        signed = signed_headers(request, self.credentials(), CredentialScope(region, service, time.time()))
        if request.method not in {"GET", "HEAD"}:
            signed["content-length"] = str(len(request.body))
        target = f"{request.path}?{encode_query(request.query)}" if request.query else request.path
        headers = {**signed, **_UNSIGNED_HEADERS, **trace_header()}
        return self.connections.send(endpoint, request.method, target, headers, request.body)


def trace_header() -> dict[str, str]:
    """The trace of the current invocation, which Lambda sets for each one. AWS detects endless loops with it.

    Equal to botocore's header, and like there, not signed.
    """
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    if not trace or not os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        return {}
    return {"x-amzn-trace-id": percent_encode(trace, safe="-=;:+&[]{}\"',")}
