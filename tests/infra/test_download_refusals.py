import time
from dataclasses import replace
from pathlib import Path

import pytest

from infra.bake.download.transfer import download
from tests.support.downloads import CONTENT, OTHER, PAGE, QUICK, names, pinned, refused, sha256, unpinned
from tests.support.file_server import Answer, FileServer

pytestmark = pytest.mark.usefixtures("no_proxies")

# Responses that are not the file.


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with FileServer(OTHER) as server:
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert f"it has sha256 {sha256(OTHER)}, expected {sha256(CONTENT)}" in line
        assert "try again, or use a mirror" in line
        assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_another_file_is_refused_even_in_two_parts(tmp_path: Path) -> None:
    with FileServer(OTHER, Answer(cut=60_000)) as server:
        assert f"has sha256 {sha256(OTHER)}" in refused(pinned(server), tmp_path / "m.onnx")
        assert server.ranges == [None, "bytes=60000-", None]
    assert names(tmp_path) == []


def test_another_size_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with FileServer(CONTENT[:-1]) as server:
        assert "it has 199,999 bytes, expected 200,000" in refused(pinned(server), tmp_path / "m.onnx")
        server.content = CONTENT + b"!"
        assert "it has more bytes, expected 200,000" in refused(pinned(server), tmp_path / "m.onnx")
        assert len(server.asked) == 2
    assert names(tmp_path) == []


def test_a_download_stops_at_more_bytes_than_pinned(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(body=CONTENT * 2, cut=len(CONTENT) + 1, stall=True)
        assert "it has more bytes, expected 200,000" in refused(pinned(server), tmp_path / "m.onnx")
        assert len(server.asked) == 1


def test_a_file_that_is_always_cut_at_the_same_byte_fails(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(cut=60_000, ranges=False)
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert "the connection broke, and 3 attempts in a row received no new bytes; try again later" in line
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    "page",
    [
        Answer(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"}),
        Answer(body=b"<script>location='/login'</script>", headers={"Content-Type": "text/HTML"}),
        Answer(body=PAGE),
        Answer(body=b"\xef\xbb\xbf\r\n <HTML lang='en'>"),
        Answer(body=b'<?xml version="1.0"?>\n<!-- a --> <!-- b -->\n' + PAGE),
        Answer(body=PAGE + bytes(300_000)),
    ],
)
def test_a_web_page_is_not_a_model(tmp_path: Path, page: Answer) -> None:
    with FileServer(CONTENT, page, page) as server:
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert "a web page instead of the file, probably from a proxy or a login page; log in to this network" in line
        assert "the response is a web page" in refused(unpinned(server), tmp_path / "m.onnx")
    assert names(tmp_path) == []


def test_a_web_page_in_two_pieces_is_still_one(tmp_path: Path) -> None:
    with FileServer(PAGE, Answer(cut=3)) as server:
        assert "the response is a web page" in refused(pinned(server), tmp_path / "m.onnx")
        assert server.ranges == [None, "bytes=3-", None]
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"<!--" * 100_000, b"<!---->" * 50_000, b"<htmlx>", b"html", b"<"])
def test_a_file_that_only_starts_like_a_page_is_a_file(tmp_path: Path, content: bytes) -> None:
    with FileServer(content) as server:
        assert download(pinned(server, content), tmp_path / "m.onnx", retries=QUICK) == sha256(content)


def test_a_login_page_in_the_middle_keeps_the_partial_file(tmp_path: Path) -> None:
    page = Answer(body=PAGE, headers={"Content-Type": "text/html"})
    with FileServer(CONTENT, Answer(cut=60_000), page) as server:
        assert "the response is a web page" in refused(pinned(server), tmp_path / "m.onnx")
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", "bytes=60000-"]


def test_compressed_responses_are_refused(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(headers={"Content-Encoding": "gzip"})) as server:
        assert "the response is compressed (gzip)" in refused(unpinned(server), tmp_path / "m.onnx")
        assert server.asked[0].headers["accept-encoding"] == "identity"


# Refusals and temporary errors.


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "401 Unauthorized; the model may require a login or the acceptance of its terms"),
        (403, "403 Forbidden; the model may require a login or the acceptance of its terms"),
        (
            404,
            "404 Not Found; check the URL and the revision, or use a mirror (--mirror, DROPVEC_MIRROR)",
        ),
        (407, "407 Proxy Authentication Required; add the proxy's user and password to HTTPS_PROXY"),
        (410, "410 Gone; check the URL and the revision"),
        (204, "204 No Content; check the URL and the revision"),
        (304, "304 Not Modified; check the URL and the revision"),
    ],
)
def test_a_refusal_is_reported_at_once_with_advice(tmp_path: Path, status: int, said: str) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(status=status, body=b"")
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert line.startswith(f"could not download {server.url}/models/m.onnx: the server answered {said}")
        assert line.endswith("or use a mirror (--mirror, DROPVEC_MIRROR) or a local file")
        assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_temporary_error_is_retried(tmp_path: Path, status: int) -> None:
    with FileServer(CONTENT, *[Answer(status=status, body=PAGE)] * 2) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert len(server.asked) == 3


def test_retry_after_is_respected(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(status=503, body=b"", headers={"Retry-After": "1"})) as server:
        start = time.monotonic()
        download(pinned(server), tmp_path / "m.onnx", retries=replace(QUICK, longest_pause=30))
        assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    "retry_after",
    ["86400", "Fri, 01 Jan 2100 00:00:00 GMT", "Mon, 01 Jan 2001 00:00:00 GMT",
     "Mon, 01 Jan 2001 00:00:00 -0000", "soon", "-5", "9" * 500],
)  # fmt: skip
def test_a_long_or_invalid_retry_after_is_limited(tmp_path: Path, retry_after: str) -> None:
    with FileServer(CONTENT, Answer(status=429, body=b"", headers={"Retry-After": retry_after})) as server:
        start = time.monotonic()
        download(pinned(server), tmp_path / "m.onnx", retries=QUICK)
        assert time.monotonic() - start < 5
