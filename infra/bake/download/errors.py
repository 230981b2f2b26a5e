"""What can go wrong with a download: whether a retry may help, what happened, and what the user can do."""

import codecs
import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from infra.common.errors import OperatorError

ALTERNATIVES = "or use a mirror (--mirror, DROPVEC_MIRROR) or a local file"

_NETWORK = f"check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), {ALTERNATIVES}"
_LATER = f"try again later, {ALTERNATIVES}"
# What an HTML file may begin with, and then its first tag. Matched one after the other instead of in one pattern: that
# takes linear time whatever the file holds.
_PREAMBLE = re.compile(rb"\s+|<\?xml[^>]*>|<!--.*?-->", re.DOTALL)
_PAGE = re.compile(rb"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
# The 4xx that a retry can resolve: request timeout, too early, too many requests.
_RETRYABLE_4XX = (408, 425, 429)

HEAD_BYTES = 1024


class TransientError(Exception):
    """An error that may be gone at the next attempt.

    Attributes:
        text: what happened.
        advice: what the user can do if it persists.
        retry_after: seconds that the server asks to wait; None if it does not.
    """

    def __init__(self, text: str, advice: str = _LATER, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice
        self.retry_after = retry_after


def download_error(url: str, text: str, advice: str) -> OperatorError:
    """The error of a failed download, in one line."""
    return OperatorError(" ".join(f"could not download {url}: {text}; {advice}".split()))


def check_response(response: httpx.Response, url: str) -> None:
    """Check by its status and headers that a response contains the bytes of a file.

    Raises:
        TransientError: it does not, and a retry may help.
        OperatorError: it does not, and a retry would not help.
    """
    status, kind = response.status_code, response.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = f"the server answered {status} {response.reason_phrase}"
    if status >= 500 or status in _RETRYABLE_4XX:
        raise TransientError(text, retry_after=_retry_after(response.headers.get("retry-after", "")))
    if status in {401, 403}:
        advice = "the model may require a login or the acceptance of its terms, or a proxy may block it; open its page"
        raise download_error(url, text, f"{advice}, {ALTERNATIVES}")
    if status == 407:
        raise download_error(url, text, f"add the proxy's user and password to HTTPS_PROXY, {ALTERNATIVES}")
    if status not in {200, 206}:
        raise download_error(url, text, f"check the URL and the revision, {ALTERNATIVES}")
    if kind in {"text/html", "application/xhtml+xml"}:
        raise web_page_error(url)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        coding = response.headers["content-encoding"]
        raise download_error(url, f"the response is compressed ({coding}) although this was not requested", _NETWORK)


def is_web_page(head: bytes) -> bool:
    """Whether a file that starts with these bytes is HTML."""
    position = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    while preamble := _PREAMBLE.match(head, position):
        position = preamble.end()
    return _PAGE.match(head, position) is not None


def web_page_error(url: str) -> OperatorError:
    """The error when the response is HTML instead of the file."""
    return download_error(
        url,
        "the response is a web page instead of the file, probably from a proxy or a login page",
        f"log in to this network, or set HTTPS_PROXY, {ALTERNATIVES}",
    )


def transport_error(error: httpx.RequestError, url: str) -> TransientError:
    """Convert the error of a failed request.

    Raises:
        OperatorError: a retry would not help.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = f"if a proxy intercepts TLS, set SSL_CERT_FILE to the certificate of its CA, {ALTERNATIVES}"
            text = f"the server's certificate is not trusted ({cause.verify_message})"
            raise download_error(url, text, advice) from None
    if isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects):
        raise download_error(url, f"the URL does not work ({error})", f"check the URL, {ALTERNATIVES}") from None
    if isinstance(error, httpx.ProxyError):
        return TransientError(f"the proxy answered {error}", _NETWORK)
    if isinstance(error, httpx.TimeoutException):
        return TransientError("the server did not answer in time", _NETWORK)
    if isinstance(error, httpx.ConnectError):
        return TransientError(_connect_error(causes), _NETWORK)
    return TransientError("the connection broke")


@contextmanager
def disk_errors_as_operator_errors(target: Path) -> Iterator[None]:
    """Convert an OSError of the block to an OperatorError about `target`."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OperatorError(
                f"no room for {target} ({error.strerror}); free some disk space and try again"
            ) from None
        raise OperatorError(
            f"cannot write {target} ({error.strerror}); make its folder writable, or choose another one"
        ) from None


def _connect_error(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"the host name cannot be resolved ({cause.strerror})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or cause})"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
    return "no connection"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3); None for anything else."""
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0)
