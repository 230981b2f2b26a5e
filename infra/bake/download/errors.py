"""What can go wrong with a download: whether it may pass, what happened, and what to do about it."""

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

ELSEWHERE = "or take the file from a mirror (--mirror, DROPVEC_MIRROR) or from this machine"

_NETWORK = f"check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), {ELSEWHERE}"
_LATER = f"try again later, {ELSEWHERE}"
# Nothing is tried twice (`*+`), so that a file full of comment marks costs no more than one pass.
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:(?:<\?xml[^>]*>|<!--.*?-->)\s*+)*+<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
# Of the 4xx, these speak of the moment: request timeout, too early, too many requests.
_PASSING_4XX = (408, 425, 429)

HEAD_BYTES = 1024


class PassingError(Exception):
    """A fault that may be gone at the next attempt.

    Attributes:
        text: what happened.
        advice: what to do when it stays.
        wait: seconds that the server asks for; None where it does not.
    """

    def __init__(self, text: str, advice: str = _LATER, wait: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice
        self.wait = wait


def refusal(where: str, text: str, advice: str) -> OperatorError:
    """The one line of a download that failed."""
    return OperatorError(" ".join(f"could not download {where}: {text}; {advice}".split()))


def check_answer(response: httpx.Response, where: str) -> None:
    """See that an answer brings bytes of a file, by its status and headers.

    Raises:
        PassingError: it may do so later.
        OperatorError: it will not.
    """
    status, kind = response.status_code, response.headers.get("content-type", "").partition(";")[0].strip().lower()
    said = f"the answer is {status} {response.reason_phrase}"
    if status >= 500 or status in _PASSING_4XX:
        raise PassingError(said, wait=_retry_after(response.headers.get("retry-after", "")))
    if status in {401, 403}:
        advice = "the model may need a login, or its terms accepted on its page, or a proxy forbids it: see there"
        raise refusal(where, said, f"{advice}, {ELSEWHERE}")
    if status == 407:
        raise refusal(where, said, f"put the proxy's user and password into HTTPS_PROXY, {ELSEWHERE}")
    if status not in {200, 206}:
        raise refusal(where, said, f"check its address and revision, {ELSEWHERE}")
    if kind in {"text/html", "application/xhtml+xml"}:
        raise page_refusal(where)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        coding = response.headers["content-encoding"]
        raise refusal(where, f"it comes compressed ({coding}), though plain bytes were asked for", _NETWORK)


def is_page(head: bytes) -> bool:
    """Whether a file that begins so is HTML."""
    return _PAGE.match(head) is not None


def page_refusal(where: str) -> OperatorError:
    """The one line when HTML came instead of the file."""
    return refusal(
        where,
        "a web page came instead of the file, from a proxy or a login page",
        f"log in to this network, or set HTTPS_PROXY, {ELSEWHERE}",
    )


def transport_fault(error: httpx.RequestError, where: str) -> PassingError:
    """What a failed request means.

    Raises:
        OperatorError: it means that the next one will fail too.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = f"if a proxy opens TLS here, name its CA's certificate in SSL_CERT_FILE, {ELSEWHERE}"
            raise refusal(where, f"the certificate is not trusted ({cause.verify_message})", advice) from None
    if isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects):
        raise refusal(where, f"it leads nowhere ({error})", f"check its address, {ELSEWHERE}") from None
    if isinstance(error, httpx.ProxyError):
        return PassingError(f"the proxy answers {error}", _NETWORK)
    if isinstance(error, httpx.TimeoutException):
        return PassingError("no answer in time", _NETWORK)
    if isinstance(error, httpx.ConnectError):
        return PassingError(_no_connection(causes), _NETWORK)
    return PassingError("the connection broke")


@contextmanager
def disk_errors_told(target: Path) -> Iterator[None]:
    """Turn what the disk says while inside into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OperatorError(f"no room for {target} ({error.strerror}); make room there, then try again") from None
        raise OperatorError(
            f"cannot write {target} ({error.strerror}); make its folder writable, or choose another one"
        ) from None


def _no_connection(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"a host name cannot be looked up ({cause.strerror})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS fails ({cause.reason or cause})"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
    return "no connection"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(value: str) -> float | None:
    """Seconds, of a number of them or of a date (RFC 9110, 10.2.3); None for neither."""
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0)
