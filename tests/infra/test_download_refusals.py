import time
from dataclasses import replace
from pathlib import Path

import pytest

from infra.bake.download.transfer import download
from tests.support.downloads import CONTENT, HASTY, OTHER, PAGE, names, pinned, refused, sha256, unpinned
from tests.support.file_server import Answer, FileServer

pytestmark = pytest.mark.usefixtures("no_proxies")

# It is not the file.


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with FileServer(OTHER) as server:
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert f"it has sha256 {sha256(OTHER)}, expected {sha256(CONTENT)}" in line
        assert "try again, or take the file from a mirror" in line
        assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_another_file_is_refused_even_when_it_came_in_two_parts(tmp_path: Path) -> None:
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


def test_more_bytes_than_pinned_are_not_waited_for(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(body=CONTENT * 2, cut=len(CONTENT) + 1, stall=True)
        assert "it has more bytes, expected 200,000" in refused(pinned(server), tmp_path / "m.onnx")
        assert len(server.asked) == 1


def test_a_file_that_is_always_cut_at_the_same_byte_is_given_up(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(cut=60_000, ranges=False)
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert "the connection broke, and 3 attempts in a row brought nothing new; try again later" in line
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
        assert "a web page came instead of the file, from a proxy or a login page; log in to this network" in line
        assert "a web page came" in refused(unpinned(server), tmp_path / "m.onnx")
    assert names(tmp_path) == []


def test_a_web_page_in_two_pieces_is_still_one(tmp_path: Path) -> None:
    with FileServer(PAGE, Answer(cut=3)) as server:
        assert "a web page came" in refused(pinned(server), tmp_path / "m.onnx")
        assert server.ranges == [None, "bytes=3-", None]
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"<!--" * 100_000, b"<!---->" * 50_000, b"<htmlx>", b"html", b"<"])
def test_what_only_looks_like_a_page_at_first_is_a_file(tmp_path: Path, content: bytes) -> None:
    with FileServer(content) as server:
        assert download(pinned(server, content), tmp_path / "m.onnx", patience=HASTY) == sha256(content)


def test_a_login_page_in_the_middle_does_not_cost_what_is_there(tmp_path: Path) -> None:
    page = Answer(body=PAGE, headers={"Content-Type": "text/html"})
    with FileServer(CONTENT, Answer(cut=60_000), page) as server:
        assert "a web page came" in refused(pinned(server), tmp_path / "m.onnx")
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", "bytes=60000-"]


def test_bytes_that_come_compressed_are_refused(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(headers={"Content-Encoding": "gzip"})) as server:
        assert "it comes compressed (gzip)" in refused(unpinned(server), tmp_path / "m.onnx")
        assert server.asked[0].headers["accept-encoding"] == "identity"


# The server will not give it, or not now.


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "401 Unauthorized; the model may need a login, or its terms accepted on its page"),
        (403, "403 Forbidden; the model may need a login, or its terms accepted on its page"),
        (
            404,
            "404 Not Found; check its address and revision, or take the file from a mirror (--mirror, DROPVEC_MIRROR)",
        ),
        (407, "407 Proxy Authentication Required; put the proxy's user and password into HTTPS_PROXY"),
        (410, "410 Gone; check its address and revision"),
        (204, "204 No Content; check its address and revision"),
        (304, "304 Not Modified; check its address and revision"),
    ],
)
def test_a_refusal_is_told_at_once_with_what_to_do(tmp_path: Path, status: int, said: str) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(status=status, body=b"")
        line = refused(pinned(server), tmp_path / "m.onnx")
        assert line.startswith(f"could not download {server.url}/models/m.onnx: the answer is {said}")
        assert line.endswith("or take the file from a mirror (--mirror, DROPVEC_MIRROR) or from this machine")
        assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_passes(tmp_path: Path, status: int) -> None:
    with FileServer(CONTENT, *[Answer(status=status, body=PAGE)] * 2) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert len(server.asked) == 3


def test_the_server_says_how_long_to_wait(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(status=503, body=b"", headers={"Retry-After": "1"})) as server:
        start = time.monotonic()
        download(pinned(server), tmp_path / "m.onnx", patience=replace(HASTY, longest_pause=30))
        assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    "retry_after",
    ["86400", "Fri, 01 Jan 2100 00:00:00 GMT", "Mon, 01 Jan 2001 00:00:00 GMT",
     "Mon, 01 Jan 2001 00:00:00 -0000", "soon", "-5", "9" * 500],
)  # fmt: skip
def test_no_server_has_us_wait_for_a_day_or_stumble(tmp_path: Path, retry_after: str) -> None:
    with FileServer(CONTENT, Answer(status=429, body=b"", headers={"Retry-After": retry_after})) as server:
        start = time.monotonic()
        download(pinned(server), tmp_path / "m.onnx", patience=HASTY)
        assert time.monotonic() - start < 5
