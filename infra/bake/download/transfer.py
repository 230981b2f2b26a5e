"""One file over HTTP: whole and right in its place, or not there at all."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from infra.bake.download.errors import (
    ELSEWHERE,
    HEAD_BYTES,
    PassingError,
    check_answer,
    disk_errors_told,
    is_page,
    page_refusal,
    refusal,
    transport_fault,
)
from infra.bake.download.partial_file import Part, content_range
from infra.bake.download.progress import Watch, download_progress
from infra.common.errors import OperatorError


@dataclass(frozen=True)
class Remote:
    """What is pinned of a file on a server.

    Attributes:
        url: http or https.
        sha256: hex; None where it is not known.
        size: in bytes; None where it is not known.
    """

    url: str
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class Patience:
    """How much a download bears.

    Attributes:
        attempts: how many in a row may bring nothing new.
        pause: seconds before another one; twice as many each time that nothing new came.
        longest_pause: seconds at most, whatever a server asks for.
        connect: seconds for a connection to be made.
        silence: seconds of a server's silence that end an attempt.
    """

    attempts: int = 5
    pause: float = 0.5
    longest_pause: float = 60.0
    connect: float = 10.0
    silence: float = 30.0


_PATIENCE = Patience()


def download(
    remote: Remote,
    target: Path,
    *,
    mirror: str | None = None,
    console: Console | None = None,
    patience: Patience = _PATIENCE,
) -> str:
    """Fetch a file, unless it is there already with the right hash.

    A broken download goes on where it stopped, in a later run too (see `Part`). The environment's proxies are used.

    Args:
        remote: the file. One without a hash is always fetched; whether to trust it is the caller's to decide.
        target: where it goes; folders are made. It is whole or not there at all.
        mirror: put in the place of the URL's scheme and host.
        console: where progress and repeated attempts are told; None: nowhere.
        patience: when to give up.

    Returns:
        The file's SHA-256, hex.

    Raises:
        OperatorError: one line that says what is wrong and what to do.
    """
    url = _address(remote.url, mirror)
    console = console or Console(quiet=True, force_terminal=False)
    with disk_errors_told(target):
        if remote.sha256 and _is(target, remote):
            return remote.sha256.lower()
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            _client(patience) as client,
            Part(target, _shown(url), pinned=remote.sha256 is not None) as part,
            download_progress(console, target) as watch,
        ):
            sha256 = _Download(remote, url, client, part, watch, console, patience).run()
            part.finish()
    return sha256


def _address(url: str, mirror: str | None) -> httpx.URL:
    try:
        if mirror:
            parts = urlsplit(url)
            url = mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")
        address = httpx.URL(url)
        address.raw_host.decode("ascii").encode("idna")  # as it is looked up
    except (httpx.InvalidURL, ValueError):
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        what = f"the mirror {mirror}" if mirror else url
        raise OperatorError(
            f"{what} is no address that a file can be fetched from; it must begin with https:// or http://"
        )
    return address


def _shown(url: httpx.URL) -> str:
    """The address without a password."""
    return str(url.copy_with(userinfo=b""))


def _is(target: Path, remote: Remote) -> bool:
    if not target.is_file() or remote.size not in {None, target.stat().st_size}:
        return False
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == (remote.sha256 or "").lower()


def _client(patience: Patience) -> httpx.Client:
    try:
        return httpx.Client(
            follow_redirects=True,
            timeout=httpx.Timeout(patience.silence, connect=patience.connect),
            # Compressed bytes have neither the hash nor the ranges of the file.
            headers={"Accept-Encoding": "identity", "User-Agent": "dropvec"},
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise OperatorError(
            f"the environment's proxy or certificate settings do not work ({error}); "
            "correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR"
        ) from None


@dataclass(frozen=True)
class _Download:
    """A download under way."""

    remote: Remote
    url: httpx.URL
    client: httpx.Client
    part: Part
    watch: Watch
    console: Console
    patience: Patience

    def run(self) -> str:
        """Attempt it until the part is the file; gives its SHA-256."""
        barren, furthest = 0, self.part.length
        while True:
            try:
                return self._attempt()
            except PassingError as error:
                fault = error
            except httpx.RequestError as error:
                fault = transport_fault(error, self._where)
            except UnicodeError as error:  # what looking up an impossible host name raises
                raise refusal(self._where, f"it leads nowhere ({error})", f"check its address, {ELSEWHERE}") from None
            barren = 0 if self.part.length > furthest else barren + 1
            furthest = max(furthest, self.part.length)
            if barren >= self.patience.attempts:
                text = f"{fault.text}, and {barren} attempts in a row brought nothing new"
                raise refusal(self._where, text, fault.advice)
            self._pause(fault, barren)

    @property
    def _where(self) -> str:
        return _shown(self.url)

    def _pause(self, fault: PassingError, barren: int) -> None:
        usual = self.patience.pause * 2 ** max(barren - 1, 0)
        seconds = min(usual if fault.wait is None else fault.wait, self.patience.longest_pause)
        line = f"{fault.text} (after {self.part.length:,} bytes); trying again in {seconds:.1f} s"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        time.sleep(seconds)

    def _attempt(self) -> str:
        with self.client.stream("GET", self.url, headers=self.part.range_headers()) as answer:
            if answer.status_code == 416:
                self.part.clear()
                raise PassingError("the server has no such rest of the file, so it starts over")
            check_answer(answer, self._where)
            if answer.status_code == 200:
                self.part.begin(answer.headers)
            elif not self.part.continues_with(answer.headers):
                self.part.clear()
                raise PassingError("the server sent another part than was asked for, so it starts over")
            whole = _whole_length(answer)
            self._receive(answer, whole)
        self._judge(whole)
        return self.part.sha256

    def _receive(self, answer: httpx.Response, whole: int | None) -> None:
        """Take in an answer's bytes, to its end or to where they are too many."""
        wanted = self.remote.size if whole is None else whole
        for data in answer.iter_raw():
            self.part.write(data)
            self.watch(self.part.length, wanted)
            if self.remote.size is not None and self.part.length > self.remote.size:
                return
        if wanted is not None and self.part.length < wanted:
            raise PassingError("the answer ended early")

    def _judge(self, whole: int | None) -> None:
        """See that what has come is the file, and drop it if not."""
        error = self._doubt(whole)
        if error is None:
            return
        resumed = self.part.resumed
        self.part.clear()
        if resumed:  # an earlier run's bytes may be to blame, of a server that could not tell or a disk that lost power
            raise PassingError("what was resumed turned out to be another file, so it starts over")
        raise error

    def _doubt(self, whole: int | None) -> OperatorError | None:
        size = whole if self.remote.size is None else self.remote.size
        advice = f"it is another file, or was damaged on its way; nothing was kept: try again, {ELSEWHERE}"
        if is_page(self.part.head(HEAD_BYTES)):
            return page_refusal(self._where)
        if size is not None and self.part.length != size:
            found = "more" if self.part.length > size else f"{self.part.length:,}"
            return refusal(self._where, f"it has {found} bytes, expected {size:,}", advice)
        if self.remote.sha256 is not None and self.part.sha256 != self.remote.sha256.lower():
            text = f"it has sha256 {self.part.sha256}, expected {self.remote.sha256.lower()}"
            return refusal(self._where, text, advice)
        return None


def _whole_length(answer: httpx.Response) -> int | None:
    """The whole file's length in bytes, where the answer tells."""
    if answer.status_code == 206:
        return content_range(answer.headers)[1]
    length = answer.headers.get("content-length", "")
    chunked = "transfer-encoding" in answer.headers  # then that length means nothing (RFC 9112, 6.3)
    return int(length) if length.isdecimal() and not chunked else None
