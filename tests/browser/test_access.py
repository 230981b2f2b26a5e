"""axe-core on every state of the page, in both colour schemes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenGallery
from tests.browser.gallery import Gallery
from tests.browser.photos import drawing


def first_page(gallery: Gallery) -> None:
    gallery.open()
    gallery.wait_for(lambda names: len(names) >= 100)
    gallery.wait_for_pictures()


def hits(gallery: Gallery) -> None:
    like = gallery.stack.source("animals/chelsea.png")
    gallery.open(f"like={like}&unlike={gallery.stack.source('still/coffee.png')}&fold=1")
    gallery.wait_for(lambda names: len(names) > 20)
    gallery.wait_for_pictures()
    gallery.page.locator(".open").first.focus()


def detail(gallery: Gallery) -> None:
    gallery.open(f"prefix=still/&item={gallery.stack.source('still/coffee.png')}")
    expect(gallery.page.locator("#detail-picture.loaded")).to_be_visible()
    expect(gallery.page.locator("#detail a[href]")).to_be_visible()


def token(gallery: Gallery) -> None:
    gallery.open(with_token=False)
    gallery.page.locator("#token-field").fill("no token")
    gallery.page.keyboard.press("Enter")
    expect(gallery.page.locator("#token-problem")).not_to_be_empty()


def no_hits(gallery: Gallery) -> None:
    gallery.open("prefix=none/&label=cat")
    expect(gallery.page.get_by_role("heading", name="No hits")).to_be_visible()


def uploads(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(lambda names: len(names) == 3)
    files = [("one.jpg", "image/jpeg", drawing(900)), ("bad.jpg", "image/jpeg", b"no picture")]
    gallery.drop("#drop-upload", files)
    expect(gallery.page.locator("#uploads li.ready")).to_have_count(1, timeout=60_000)
    expect(gallery.page.locator("#uploads li.failed")).to_have_count(1, timeout=60_000)


def drop(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(lambda names: len(names) == 3)
    gallery.give("body", ["dragenter"], [("one.jpg", "image/jpeg", b"")])
    expect(gallery.page.locator("#drop")).to_be_visible()


def keys(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(lambda names: len(names) == 3)
    gallery.page.locator("#skip").focus()
    gallery.page.keyboard.press("?")


STATES = [first_page, hits, detail, token, no_hits, uploads, drop, keys]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["1440", "390"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing_serious(
    new_gallery: OpenGallery, state: Callable[[Gallery], None], size: str, scheme: str
) -> None:
    gallery = new_gallery(size, scheme)
    state(gallery)
    gallery.shot(f"axe-{state.__name__}-{scheme}")
    assert gallery.axe() == []


def test_axe_would_find_something(new_gallery: OpenGallery) -> None:
    gallery = new_gallery()
    first_page(gallery)
    gallery.page.evaluate(
        """() => {
             const upload = document.getElementById("upload");
             upload.removeAttribute("aria-label");
             upload.textContent = "";
             document.getElementById("status").style.color = "#eee";
           }"""
    )
    found = " ".join(gallery.axe())
    assert "button-name" in found
    assert "color-contrast" in found
