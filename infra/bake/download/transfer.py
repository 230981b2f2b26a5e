"""Download one file over HTTP: the complete, verified file, or no file at all."""

import os
import ssl
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from infra.bake.download.errors import (
    ALTERNATIVES,
    HEAD_BYTES,
    TransientError,
    check_response,
    disk_errors_as_operator_errors,
    download_error,
    is_web_page,
    transport_error,
    web_page_error,
)
from infra.bake.download.partial_file import PartialFile, content_range
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.progress import Meter, meter, size


@dataclass(frozen=True)
class Remote:
    """A file on a server, and what is known of its content.

    Attributes:
        url: http or https.
        sha256: hex; None if unknown.
        size: bytes; None if unknown.
    """

    url: str
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class RetryPolicy:
    """When a download is retried and when it fails.

    Attributes:
        attempts: how many attempts in a row may receive no new bytes.
        pause: seconds before the next attempt; doubled after each attempt without new bytes.
        longest_pause: most seconds to pause, whatever the server asks for.
        connect: timeout of a connection, seconds.
        silence: seconds without a byte from the server after which an attempt fails.
    """

    attempts: int = 5
    pause: float = 0.5
    longest_pause: float = 60.0
    connect: float = 10.0
    silence: float = 30.0


_RETRIES = RetryPolicy()


def download(
    remote: Remote,
    target: Path,
    *,
    mirror: str | None = None,
    console: Console | None = None,
    retries: RetryPolicy = _RETRIES,
) -> str:
    """Download a file, unless it is already there with the right hash.

    An interrupted download is resumed, also by a later run (see `PartialFile`). Proxies of the environment are used.

    Args:
        remote: the file. Without a hash it is always downloaded, and the caller decides whether to trust it.
        target: where it goes; its folders are created. The file is complete or does not exist.
        mirror: replaces the scheme and host of the URL.
        console: where progress and retries are shown; None for no output.
        retries: when to retry.

    Returns:
        The file's SHA-256, hex.

    Raises:
        OperatorError: the download failed.
    """
    url = _url(remote.url, mirror)
    console = console or Console(quiet=True, force_terminal=False)
    with disk_errors_as_operator_errors(target):
        if remote.sha256 and _is_there(target, remote):
            return remote.sha256.lower()
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            _client(retries) as client,
            PartialFile(target, _without_password(url), pinned=remote.sha256 is not None) as part,
            meter(target.name, console, size) as display,
        ):
            sha256 = _Download(remote, url, client, part, display, console, retries).run()
            part.finish()
    return sha256


def _url(url: str, mirror: str | None) -> httpx.URL:
    try:
        if mirror:
            parts = urlsplit(url)
            url = mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")
        parsed = httpx.URL(url)
        parsed.raw_host.decode("ascii").encode("idna")  # fails for a host name that cannot be looked up
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        what = f"the mirror {mirror}" if mirror else f"{url!r}"
        raise OperatorError(f"{what} is not a valid URL; use one that starts with https:// or http://")
    return parsed


def _without_password(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b""))


def _is_there(target: Path, remote: Remote) -> bool:
    if not target.is_file() or remote.size not in {None, target.stat().st_size}:
        return False
    return file_sha256(target) == (remote.sha256 or "").lower()


@cache
def _certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Certificates for these settings; reading them takes longer than a small download."""
    return httpx.create_ssl_context()


def _client(retries: RetryPolicy) -> httpx.Client:
    try:
        return httpx.Client(
            follow_redirects=True,
            verify=_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
            timeout=httpx.Timeout(retries.silence, connect=retries.connect),
            # A compressed response has neither the hash nor the byte ranges of the file.
            headers={"Accept-Encoding": "identity", "User-Agent": "dropvec"},
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise OperatorError(
            f"the environment's proxy or certificate settings do not work ({error}); "
            "correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR"
        ) from None


@dataclass(frozen=True)
class _Download:
    """A download in progress."""

    remote: Remote
    url: httpx.URL
    client: httpx.Client
    part: PartialFile
    display: Meter
    console: Console
    retries: RetryPolicy

    def run(self) -> str:
        """Retry until the partial file is complete; returns its SHA-256."""
        without_progress, longest = 0, self.part.length
        while True:
            try:
                return self._attempt()
            except TransientError as caught:
                error = caught
            except httpx.RequestError as caught:
                error = transport_error(caught, self._shown_url)
            except UnicodeError as caught:  # raised when a redirect's host name cannot be encoded
                advice = f"check the URL, {ALTERNATIVES}"
                raise download_error(self._shown_url, f"the URL does not work ({caught})", advice) from None
            without_progress = 0 if self.part.length > longest else without_progress + 1
            longest = max(longest, self.part.length)
            if without_progress >= self.retries.attempts:
                text = f"{error.text}, and {without_progress} attempts in a row received no new bytes"
                raise download_error(self._shown_url, text, error.advice)
            self._pause(error, without_progress)

    @property
    def _shown_url(self) -> str:
        return _without_password(self.url)

    def _pause(self, error: TransientError, without_progress: int) -> None:
        usual = self.retries.pause * 2 ** max(without_progress - 1, 0)
        seconds = min(usual if error.retry_after is None else error.retry_after, self.retries.longest_pause)
        line = f"{error.text} (after {self.part.length:,} bytes); trying again in {seconds:.1f} s"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        time.sleep(seconds)

    def _attempt(self) -> str:
        with self.client.stream("GET", self.url, headers=self.part.range_headers()) as response:
            if response.status_code == 416:
                self.part.clear()
                raise TransientError("the server does not have the requested range, so the download starts over")
            check_response(response, self._shown_url)
            if response.status_code == 200:
                self.part.begin(response.headers)
            elif not self.part.continues_with(response.headers):
                self.part.clear()
                raise TransientError("the server sent a range that was not requested, so the download starts over")
            total = _total_length(response)
            self._receive(response, total)
        self._check_complete(total)
        return self.part.sha256

    def _receive(self, response: httpx.Response, total: int | None) -> None:
        """Append a response's bytes, to its end or until there are more than expected."""
        expected = self.remote.size if total is None else total
        for data in response.iter_raw():
            self.part.write(data)
            self.display.update(self.part.length, expected, last=self.part.length == expected)
            if self.remote.size is not None and self.part.length > self.remote.size:
                return
        if expected is not None and self.part.length < expected:
            raise TransientError("the response ended early")

    def _check_complete(self, total: int | None) -> None:
        """Check that the bytes are the expected file, and delete them if not."""
        error = self._mismatch(total)
        if error is None:
            return
        resumed = self.part.resumed
        self.part.clear()
        if resumed:  # the earlier bytes may be wrong: a server without ETags, or a disk that lost power
            raise TransientError("the resumed file does not have the expected content, so the download starts over")
        raise error

    def _mismatch(self, total: int | None) -> OperatorError | None:
        wanted = total if self.remote.size is None else self.remote.size
        advice = f"it is a different or a damaged file, and was deleted; try again, {ALTERNATIVES}"
        if is_web_page(self.part.head(HEAD_BYTES)):
            return web_page_error(self._shown_url)
        if wanted is not None and self.part.length != wanted:
            found = "more" if self.part.length > wanted else f"{self.part.length:,}"
            return download_error(self._shown_url, f"it has {found} bytes, expected {wanted:,}", advice)
        if self.remote.sha256 is not None and self.part.sha256 != self.remote.sha256.lower():
            text = f"it has sha256 {self.part.sha256}, expected {self.remote.sha256.lower()}"
            return download_error(self._shown_url, text, advice)
        return None


def _total_length(response: httpx.Response) -> int | None:
    """The complete file's length in bytes; None if the response does not say."""
    if response.status_code == 206:
        return content_range(response.headers)[1]
    length = response.headers.get("content-length", "")
    chunked = "transfer-encoding" in response.headers  # then Content-Length has no meaning (RFC 9112, 6.3)
    return int(length) if length.isdecimal() and not chunked else None
