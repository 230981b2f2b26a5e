import signal
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.bake.download.partial_file import Part
from infra.bake.download.transfer import Remote, download
from infra.common.errors import OperatorError
from tests.support.downloads import CONTENT, HASTY, OTHER, ROOT, child, names, pinned, refused, sha256, unpinned
from tests.support.file_server import Answer, FileServer
from tests.support.processes import eventually

pytestmark = pytest.mark.usefixtures("no_proxies")

# It arrives.


def test_a_file_arrives_whole_with_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "cache" / "m.onnx"
    with FileServer(CONTENT) as server:
        assert download(pinned(server), target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["m.onnx"]


def test_a_file_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(CONTENT)
    with FileServer(CONTENT) as server:
        remote = pinned(server)
        assert download(replace(remote, sha256=sha256(CONTENT).upper()), target) == sha256(CONTENT)
        assert download(replace(remote, size=None), target) == sha256(CONTENT)
        assert server.asked == []


def test_a_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with FileServer(CONTENT) as server:
        for damaged in (CONTENT[:-1], bytes(len(CONTENT))):
            target.write_bytes(damaged)
            download(pinned(server), target)
            assert target.read_bytes() == CONTENT


def test_a_file_without_a_known_hash_is_fetched_and_its_hash_told(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(OTHER)
    with FileServer(CONTENT) as server:
        assert download(unpinned(server), target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with FileServer(b"") as server:
        assert download(pinned(server, b""), tmp_path / "m.onnx") == sha256(b"")
    assert names(tmp_path) == ["m.onnx"]


def test_redirects_are_followed_and_what_is_missing_is_asked_of_the_last_one(tmp_path: Path) -> None:
    def elsewhere(server: FileServer) -> Answer:
        return Answer(
            status=302, body=b"", headers={"Location": f"{server.url}/cdn?signed", "ETag": '"of the redirect"'}
        )

    with FileServer(CONTENT, etag='"of the file"') as server:
        server.answers.extend([elsewhere(server), Answer(cut=70_000), elsewhere(server)])
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert [asked.path for asked in server.asked] == ["/models/m.onnx", "/cdn?signed"] * 2
        assert server.asked[-1].headers["if-range"] == '"of the file"'
        assert server.asked[-1].sent == len(CONTENT) - 70_000


# It broke in the middle.


def test_a_connection_that_drops_twice_costs_no_byte_twice(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(cut=90_000)) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", "bytes=150000-"]
        assert [asked.sent for asked in server.asked] == [60_000, 90_000, 50_000]
        assert [asked.headers.get("if-range") for asked in server.asked] == [None, '"one"', '"one"']
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT
    assert names(tmp_path) == ["m.onnx"]


def test_any_number_of_drops_is_borne_as_long_as_something_new_comes(tmp_path: Path) -> None:
    with FileServer(CONTENT, *[Answer(cut=10_000)] * 19) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=replace(HASTY, attempts=1)) == sha256(CONTENT)
        assert len(server.asked) == 20


def test_a_server_that_falls_silent_is_asked_again(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=1000, stall=True)) as server:
        download(pinned(server), tmp_path / "m.onnx", patience=replace(HASTY, silence=0.2))
        assert server.ranges == [None, "bytes=1000-"]


def test_a_range_that_is_answered_in_pieces_is_put_together(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=50_000), *[Answer(longest=50_000)] * 3) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert [asked.sent for asked in server.asked] == [50_000] * 4


def test_a_cut_is_noticed_without_a_length(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=50_000, headers={"Content-Length": None})) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=50000-"]


def test_a_run_that_was_killed_is_gone_on_with_by_the_next(tmp_path: Path) -> None:
    target, part = tmp_path / "m.onnx", tmp_path / "m.onnx.part"
    with FileServer(CONTENT, Answer(cut=150_000, stall=True)) as server:
        remote = pinned(server)
        with subprocess.Popen(child(remote, target), cwd=ROOT) as process:
            assert eventually(lambda: part.exists() and part.stat().st_size > 100_000)
            process.send_signal(signal.SIGKILL)
        there = part.stat().st_size
        assert download(remote, target, patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, f"bytes={there}-"]
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["m.onnx"]


def test_giving_up_keeps_what_a_later_run_can_use(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with FileServer(CONTENT, Answer(cut=120_000)) as server:
        server.usual = Answer(status=503, body=b"")
        line = refused(unpinned(server), target)
        assert "503 Service Unavailable, and 3 attempts in a row brought nothing new; try again later" in line
        server.usual = Answer()
        assert download(unpinned(server), target, patience=HASTY) == sha256(CONTENT)
        assert server.ranges[-1] == "bytes=120000-"
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_only_a_pinned_file_is_resumed(tmp_path: Path, etag: str | None) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), etag=etag) as server:
        assert download(pinned(server), tmp_path / "pinned", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-"]
        assert "if-range" not in server.asked[-1].headers
        server.answers.append(Answer(cut=60_000))
        assert download(unpinned(server), tmp_path / "unpinned", patience=HASTY) == sha256(CONTENT)
        assert server.ranges[2:] == [None, None]


def test_a_part_that_nobody_could_go_on_with_is_not_kept(tmp_path: Path) -> None:
    with FileServer(CONTENT, etag=None) as server:
        server.usual = Answer(cut=60_000)
        assert "the connection broke" in refused(unpinned(server), tmp_path / "m.onnx")
    assert names(tmp_path) == []


# What is there is not the beginning of what comes.


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_meanwhile_is_fetched_from_its_start(tmp_path: Path, if_range: bool) -> None:
    old = Answer(body=OTHER, headers={"ETag": '"old"'}, cut=60_000)
    with FileServer(CONTENT, old, Answer(if_range=if_range)) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.asked[1].headers["if-range"] == '"old"'
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT


def test_the_rest_of_a_file_that_does_not_name_itself_is_not_appended(tmp_path: Path) -> None:
    with FileServer(OTHER, Answer(cut=60_000), Answer(headers={"ETag": None})) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(OTHER)
        assert server.ranges == [None, "bytes=60000-", None]


def test_a_server_that_ignores_ranges_starts_from_zero(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(ranges=False)) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert [asked.sent for asked in server.asked] == [60_000, len(CONTENT)]


def test_a_range_that_is_not_satisfiable_starts_from_zero(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000), Answer(status=416, body=b"")) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", None]


@pytest.mark.parametrize("content_range", ["bytes 59999-199999/200000", "bytes 0-199999/200000", "nonsense", None])
def test_another_range_than_was_asked_for_is_not_appended(tmp_path: Path, content_range: str | None) -> None:
    wrong = Answer(headers={"Content-Range": content_range})
    with FileServer(CONTENT, Answer(cut=60_000), wrong) as server:
        assert download(unpinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None, "bytes=60000-", None]


def test_a_part_of_another_address_is_not_gone_on_with(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        server.usual = Answer(status=500, body=b"")
        refused(pinned(server), tmp_path / "m.onnx")
        assert names(tmp_path) == ["m.onnx.part", "m.onnx.part.json"]
        server.usual = Answer()
        before = len(server.asked)
        moved = replace(pinned(server), url=f"{server.url}/moved/m.onnx")
        assert download(moved, tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges[before:] == [None]


@pytest.mark.parametrize("note", [None, b"", b"[]", b'{"url": 1}', b"{", b"\xff"])
def test_a_part_of_unknown_origin_is_not_gone_on_with(tmp_path: Path, note: bytes | None) -> None:
    (tmp_path / "m.onnx.part").write_bytes(OTHER[:60_000])
    if note is not None:
        (tmp_path / "m.onnx.part.json").write_bytes(note)
    with FileServer(CONTENT) as server:
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges == [None]
    assert names(tmp_path) == ["m.onnx"]


def test_a_damaged_part_costs_a_second_start_and_no_wrong_file(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        server.usual = Answer(status=500, body=b"")
        refused(pinned(server), tmp_path / "m.onnx")
        (tmp_path / "m.onnx.part").write_bytes(bytes(60_000))
        server.usual = Answer()
        assert download(pinned(server), tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert server.ranges[-2:] == ["bytes=60000-", None]


def test_two_runs_do_not_write_the_same_part(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        with Part(tmp_path / "m.onnx", server.url, pinned=True):
            assert "another process is writing" in refused(pinned(server), tmp_path / "m.onnx")
        assert server.asked == []
        assert download(pinned(server), tmp_path / "m.onnx") == sha256(CONTENT)


# Whatever happens.

CONTENT_BYTES = 3000
HITCHES = st.one_of(
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
@given(runs=st.lists(st.lists(HITCHES, max_size=4), min_size=1, max_size=3), sized=st.booleans())
def test_the_right_bytes_come_or_none(runs: list[list[Answer]], sized: bool) -> None:
    content = CONTENT[:CONTENT_BYTES]
    with tempfile.TemporaryDirectory() as folder, FileServer(content) as server:
        target = Path(folder) / "m.onnx"
        remote = Remote(f"{server.url}/m", sha256(content), CONTENT_BYTES if sized else None)
        for hitches in runs:
            server.answers.clear()
            server.answers.extend(hitches)
            try:
                assert download(remote, target, patience=HASTY) == sha256(content)
            except OperatorError as error:
                assert "\n" not in str(error)
                assert not target.exists()
            else:
                assert target.read_bytes() == content
                assert names(target.parent) == ["m.onnx"]
        server.answers.clear()
        download(remote, target, patience=HASTY)
        assert target.read_bytes() == content


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, CONTENT_BYTES), max_size=6), piece=st.integers(100, CONTENT_BYTES))
def test_however_it_is_cut_every_byte_is_sent_once(cuts: list[int], piece: int) -> None:
    content = CONTENT[:CONTENT_BYTES]
    answers = [Answer(cut=cut, piece=piece) for cut in cuts]
    with tempfile.TemporaryDirectory() as folder, FileServer(content, *answers) as server:
        patience = replace(HASTY, attempts=len(cuts) + 1)
        assert download(unpinned(server), Path(folder) / "m", patience=patience) == sha256(content)
        assert sum(asked.sent for asked in server.asked) == CONTENT_BYTES
