import signal
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.bake.download.partial_file import PartialFile
from infra.bake.download.transfer import Remote, download
from infra.common.errors import OperatorError
from infra.common.paths import ROOT
from tests.support.downloads import CONTENT, OTHER, QUICK, child, names, pinned, refused, sha256, unpinned
from tests.support.file_server import Answer, FileServer
from tests.support.processes import eventually

pytestmark = pytest.mark.usefixtures("no_proxies")

# Downloads that succeed.


def test_a_download_leaves_only_the_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "cache" / "m.onnx"
    with FileServer(CONTENT) as server:
        assert download(pinned(server), target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["m.onnx"]


def test_an_existing_file_is_not_requested(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(CONTENT)
    with FileServer(CONTENT) as server:
        remote = pinned(server)
        assert download(replace(remote, sha256=sha256(CONTENT).upper()), target) == sha256(CONTENT)
        assert download(replace(remote, size=None), target) == sha256(CONTENT)
        assert server.asked == []


def test_a_damaged_file_is_downloaded_again(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with FileServer(CONTENT) as server:
        for damaged in (CONTENT[:-1], bytes(len(CONTENT))):
            target.write_bytes(damaged)
            download(pinned(server), target)
            assert target.read_bytes() == CONTENT


def test_a_file_without_a_known_hash_is_downloaded_and_its_hash_returned(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(OTHER)
    with FileServer(CONTENT) as server:
        assert download(unpinned(server), target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with FileServer(b"") as server:
        assert download(pinned(server, b""), tmp_path / "m.onnx") == sha256(b"")
    assert names(tmp_path) == ["m.onnx"]


def test_redirects_are_followed_and_ranges_requested_from_the_target(tmp_path: Path) -> None:
    def elsewhere(server: FileServer) -> Answer:
        return Answer(
            status=302, body=b"", headers={"Location": f"{server.url}/cdn?signed", "ETag": '"of the redirect"'}
        )

    with FileServer(CONTENT, etag='"of the file"') as server:
        server.answers.extend([elsewhere(server), Answer(cut=70_000), elsewhere(server)])
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert [asked.path for asked in server.asked] == ["/models/m.onnx", "/cdn?signed"] * 2
        assert server.asked[-1].headers["if-range"] == '"of the file"'
        assert server.asked[-1].sent == len(CONTENT) - 70_000


# Interrupted downloads.


def test_a_connection_that_drops_twice_transfers_no_byte_twice(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(cut=90_000)) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", "bytes=150000-"]
        assert [asked.sent for asked in server.asked] == [60_000, 90_000, 50_000]
        assert [asked.headers.get("if-range") for asked in server.asked] == [None, '"one"', '"one"']
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT
    assert names(tmp_path) == ["m.onnx"]


def test_any_number_of_drops_is_retried_while_new_bytes_arrive(tmp_path: Path) -> None:
    with FileServer(CONTENT, *[Answer(cut=10_000)] * 19) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=replace(QUICK, attempts=1)) == sha256(CONTENT)
        assert len(server.asked) == 20


def test_a_silent_server_is_retried(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=1000, stall=True)) as server:
        download(pinned(server), tmp_path / "m.onnx", retries=replace(QUICK, silence=0.2))
        assert server.ranges == [None, "bytes=1000-"]


def test_a_range_answered_in_pieces_is_joined(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=50_000), *[Answer(longest=50_000)] * 3) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert [asked.sent for asked in server.asked] == [50_000] * 4


def test_a_truncated_response_is_detected_without_a_length(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=50_000, headers={"Content-Length": None})) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=50000-"]


def test_a_killed_run_is_resumed_by_the_next(tmp_path: Path) -> None:
    target, part = tmp_path / "m.onnx", tmp_path / "m.onnx.part"
    with FileServer(CONTENT, Answer(cut=150_000, stall=True)) as server:
        remote = pinned(server)
        with subprocess.Popen(child(remote, target), cwd=ROOT) as process:
            assert eventually(lambda: part.exists() and part.stat().st_size > 100_000)
            process.send_signal(signal.SIGKILL)
        there = part.stat().st_size
        assert download(remote, target, retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, f"bytes={there}-"]
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["m.onnx"]


def test_a_failed_download_is_resumed_by_a_later_run(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with FileServer(CONTENT, Answer(cut=120_000)) as server:
        server.usual = Answer(status=503, body=b"")
        line = refused(unpinned(server), target)
        assert "503 Service Unavailable, and 3 attempts in a row received no new bytes; try again later" in line
        server.usual = Answer()
        assert download(unpinned(server), target, retries=QUICK) == sha256(CONTENT)
        assert server.ranges[-1] == "bytes=120000-"
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_only_a_pinned_file_is_resumed(tmp_path: Path, etag: str | None) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), etag=etag) as server:
        assert download(pinned(server), tmp_path / "pinned", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-"]
        assert "if-range" not in server.asked[-1].headers
        server.answers.append(Answer(cut=60_000))
        assert download(unpinned(server), tmp_path / "unpinned", retries=QUICK) == sha256(CONTENT)
        assert server.ranges[2:] == [None, None]


def test_a_partial_file_that_cannot_be_resumed_is_deleted(tmp_path: Path) -> None:
    with FileServer(CONTENT, etag=None) as server:
        server.usual = Answer(cut=60_000)
        assert "the connection broke" in refused(unpinned(server), tmp_path / "m.onnx")
    assert names(tmp_path) == []


# Partial files that do not belong to the response.


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_meanwhile_is_downloaded_from_its_start(tmp_path: Path, if_range: bool) -> None:
    old = Answer(body=OTHER, headers={"ETag": '"old"'}, cut=60_000)
    with FileServer(CONTENT, old, Answer(if_range=if_range)) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.asked[1].headers["if-range"] == '"old"'
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT


def test_a_rest_without_an_etag_is_not_appended(tmp_path: Path) -> None:
    with FileServer(OTHER, Answer(cut=60_000), Answer(headers={"ETag": None})) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(OTHER)
        assert server.ranges == [None, "bytes=60000-", None]


def test_a_server_that_ignores_ranges_starts_from_zero(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(ranges=False)) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert [asked.sent for asked in server.asked] == [60_000, len(CONTENT)]


def test_a_range_that_is_not_satisfiable_starts_from_zero(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(status=416, body=b"")) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", None]


@pytest.mark.parametrize("content_range", ["bytes 59999-199999/200000", "bytes 0-199999/200000", "nonsense", None])
def test_a_range_that_was_not_requested_is_not_appended(tmp_path: Path, content_range: str | None) -> None:
    wrong = Answer(headers={"Content-Range": content_range})
    with FileServer(CONTENT, Answer(cut=60_000), wrong) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", None]


def test_a_partial_file_of_another_url_is_not_resumed(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        server.usual = Answer(status=500, body=b"")
        refused(pinned(server), tmp_path / "m.onnx")
        assert names(tmp_path) == ["m.onnx.part", "m.onnx.part.json"]
        server.usual = Answer()
        before = len(server.asked)
        moved = replace(pinned(server), url=f"{server.url}/moved/m.onnx")
        assert download(moved, tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges[before:] == [None]


@pytest.mark.parametrize("note", [None, b"", b"[]", b'{"url": 1}', b"{", b"\xff"])
def test_a_partial_file_of_unknown_origin_is_not_resumed(tmp_path: Path, note: bytes | None) -> None:
    (tmp_path / "m.onnx.part").write_bytes(OTHER[:60_000])
    if note is not None:
        (tmp_path / "m.onnx.part.json").write_bytes(note)
    with FileServer(CONTENT) as server:
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges == [None]
    assert names(tmp_path) == ["m.onnx"]


def test_a_damaged_partial_file_starts_over(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        server.usual = Answer(status=500, body=b"")
        refused(pinned(server), tmp_path / "m.onnx")
        (tmp_path / "m.onnx.part").write_bytes(bytes(60_000))
        server.usual = Answer()
        assert download(pinned(server), tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert server.ranges[-2:] == ["bytes=60000-", None]


def test_two_runs_do_not_write_the_same_partial_file(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        with PartialFile(tmp_path / "m.onnx", server.url, pinned=True):
            assert "another process is writing" in refused(pinned(server), tmp_path / "m.onnx")
        assert server.asked == []
        assert download(pinned(server), tmp_path / "m.onnx") == sha256(CONTENT)


# Random server behaviour.

CONTENT_BYTES = 3000
ANSWERS = st.one_of(
    st.builds(
        Answer,
        cut=st.integers(0, CONTENT_BYTES),
        ranges=st.booleans(),
        if_range=st.booleans(),
        longest=st.none() | st.integers(1, CONTENT_BYTES),
        piece=st.integers(100, CONTENT_BYTES),
        headers=st.sampled_from(
            [
                {},
                {"ETag": None},
                {"ETag": '"two"'},
                {"ETag": 'W/"one"'},
                {"Content-Length": None},
                {"Content-Range": None},
            ]
        ),
    ),
    st.builds(Answer, status=st.sampled_from([416, 429, 500, 503]), body=st.just(b"")),
    st.builds(Answer, body=st.binary(max_size=100), cut=st.none() | st.integers(0, 100)),
    st.builds(Answer, body=st.just(OTHER[:CONTENT_BYTES]), cut=st.integers(0, CONTENT_BYTES)),
)


@settings(deadline=None, max_examples=40)
@given(runs=st.lists(st.lists(ANSWERS, max_size=4), min_size=1, max_size=3), sized=st.booleans())
def test_the_result_is_the_right_bytes_or_an_error(runs: list[list[Answer]], sized: bool) -> None:
    content = CONTENT[:CONTENT_BYTES]
    with tempfile.TemporaryDirectory() as folder, FileServer(content) as server:
        target = Path(folder) / "m.onnx"
        remote = Remote(f"{server.url}/m", sha256(content), CONTENT_BYTES if sized else None)
        for answers in runs:
            server.answers.clear()
            server.answers.extend(answers)
            try:
                assert download(remote, target, retries=QUICK) == sha256(content)
            except OperatorError as error:
                assert "\n" not in str(error)
                assert not target.exists()
            else:
                assert target.read_bytes() == content
                assert names(target.parent) == ["m.onnx"]
        server.answers.clear()
        download(remote, target, retries=QUICK)
        assert target.read_bytes() == content


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, CONTENT_BYTES), max_size=6), piece=st.integers(100, CONTENT_BYTES))
def test_however_it_is_cut_every_byte_is_sent_once(cuts: list[int], piece: int) -> None:
    content = CONTENT[:CONTENT_BYTES]
    answers = [Answer(cut=cut, piece=piece) for cut in cuts]
    with tempfile.TemporaryDirectory() as folder, FileServer(content, *answers) as server:
        retries = replace(QUICK, attempts=len(cuts) + 1)
        assert download(unpinned(server), Path(folder) / "m", retries=retries) == sha256(content)
        assert sum(asked.sent for asked in server.asked) == CONTENT_BYTES
