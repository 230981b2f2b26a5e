"""The stand-in for S3 Vectors on 127.0.0.1, in this process and without the local AWS around it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.config import Config

from infra.common.local_session import CONFIG, REGION, session
from infra.local.s3vectors.buckets import Scope
from infra.local.s3vectors.service import Request, S3Vectors

SCOPE = Scope("000000000000", REGION)


@contextmanager
def s3vectors_server(service: S3Vectors) -> Iterator[str]:
    """Serve it while inside; yields its URL. Signatures are not checked."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.service = service
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def s3vectors_client(endpoint: str) -> Any:
    """boto3's own client, without retries."""
    config = CONFIG.merge(Config(retries={"total_max_attempts": 1}))
    return session().client("s3vectors", endpoint_url=endpoint, config=config)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(SCOPE, self.command, unquote(url.path), parse_qs(url.query, keep_blank_values=True), body)
        response = self.server.service.answer(request)
        self.send_response_only(response.status)
        for name, value in {**response.headers, "content-length": str(len(response.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that the base class calls


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    service: S3Vectors
