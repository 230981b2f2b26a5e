"""Pages with pictures: escaped, self-contained, and never outside the given folder."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from infra.cli.main import main
from infra.common.contact_sheet import Section, Tile, contact_sheet
from infra.common.errors import OperatorError
from infra.common.thumbnails import SIDE, Thumbnail, pictures_of_folder, thumbnails
from tests.infra.test_offline_search import SOURCES, write
from tests.support.pictures import encoded, picture

TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ol", "li", "div", "b", "span", "img"}
HOSTILE = '<script>alert("x")</script>\'&\u202e\x1b[2J'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


def test_every_text_is_escaped() -> None:
    tile = Tile(HOSTILE, [HOSTILE], Thumbnail(None, HOSTILE))
    shown = Tile(HOSTILE, [], Thumbnail(b"jpeg"))
    page = contact_sheet(HOSTILE, HOSTILE, [Section(HOSTILE, [tile, shown])])
    tags = tags_of(page)
    assert {tag for tag, _ in tags} <= TAGS
    assert [attributes["alt"] for tag, attributes in tags if tag == "img"] == [
        HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}").replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    ]
    assert "\x1b" not in page


def test_a_page_of_hits_holds_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    for row, source in enumerate(SOURCES[:40]):
        file = images / source.removeprefix("s3://photos/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(700, 500, seed=row)))
    page_path, file = tmp_path / "hits.html", write(tmp_path / "results.jsonl")
    options = ["--vectors", str(file), "--html", str(page_path), "--images", str(images), "-k", "400"]
    assert main(["search", SOURCES[0], *options]) == 0
    page = page_path.read_text("utf-8")
    pictures = [attributes["src"] or "" for tag, attributes in tags_of(page) if tag == "img"]
    assert len(pictures) == 39  # the query is no hit of its own
    for each in pictures:
        head, _, data = each.partition(",")
        assert head == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == SIDE
    assert page.count("cannot be read: No such file or directory") == 360
    assert not re.search(r"https?:|<script|<link|url\(", page)
    assert "hits.html" in capsys.readouterr().out


def test_keys_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.png").write_bytes(encoded(picture(8, 8)))
    read = pictures_of_folder(tmp_path / "inside")
    for key in ("../secret.png", "/../secret.png", f"/{tmp_path}/secret.png"):
        with pytest.raises(OperatorError):
            read(f"s3://photos/{key}")
    found = thumbnails(["s3://photos/../secret.png"], read)
    assert found["s3://photos/../secret.png"] == Thumbnail(None, "its key leads out of the folder")


def test_a_damaged_picture_has_a_reason() -> None:
    found = thumbnails(["s3://a/b", "s3://a/b"], lambda _: b"nothing")
    (thumbnail,) = found.values()
    assert thumbnail.jpeg is None
    assert "not an image" in thumbnail.reason
