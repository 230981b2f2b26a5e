"""One signed call."""

import time
from dataclasses import dataclass, replace

from handler.aws.sdk.connections import Answer, Connections
from handler.aws.sdk.credentials import CredentialsSource
from handler.aws.sdk.endpoints import Address
from handler.aws.sdk.signing import Scope, Unsigned, encode_query, signed_headers

# Not signed: proxies may touch them.
_PLAIN_HEADERS = {"accept-encoding": "identity", "user-agent": "dropvec"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Signs requests and sends them."""

    connections: Connections
    credentials: CredentialsSource

    def send(self, address: Address, request: Unsigned, *, service: str, region: str) -> Answer:
        """Sign a request and send it.

        Args:
            address: where to; its path goes before the request's.
            request: `host` is filled in.
            service: as AWS signs it.
            region: where the request is served.

        Raises:
            SdkError: no answer.
        """
        headers = {"host": address.authority, **request.headers}
        request = replace(request, path=address.path + request.path or "/", headers=headers)
        signed = signed_headers(request, self.credentials(), Scope(region, service, time.time()))
        if request.method != "GET":
            signed["content-length"] = str(len(request.body))
        target = f"{request.path}?{encode_query(request.query)}" if request.query else request.path
        return self.connections.send(address, request.method, target, {**signed, **_PLAIN_HEADERS}, request.body)
