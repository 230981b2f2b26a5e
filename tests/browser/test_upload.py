"""Uploading: with progress, until the search finds the picture."""

import pytest
from playwright.sync_api import FilePayload, expect

from tests.browser.gallery import Gallery
from tests.browser.photos import drawing, noise

MEGABYTE = 1_000_000


def test_a_dropped_picture_is_uploaded_and_found_again(gallery: Gallery) -> None:
    gallery.open("prefix=uploads/")
    page = gallery.page
    expect(page.locator("#grid:not([aria-busy])")).to_be_attached()
    name, data = f"drawn-{gallery.size}.jpg", drawing(500 + int(gallery.size))
    large_name, large = f"large-{gallery.size}.png", noise(1600)
    assert len(large) > 5 * MEGABYTE
    broken = ("bad.jpg", "image/jpeg", b"no picture")
    gallery.drop("#drop-upload", [(name, "image/jpeg", data), (large_name, "image/png", large), broken])
    tray = page.get_by_role("region", name="upload")
    expect(tray.locator("li")).to_have_count(3)
    gallery.shot("uploading")
    expect(tray.locator("li.ready")).to_have_count(2, timeout=60_000)
    expect(tray.locator("li.failed")).to_have_count(1)
    expect(tray.locator("li.failed .state")).to_have_text("Not a picture")
    expect(page.locator("#uploads-title")).to_have_text("3 uploads")
    gallery.wait_for(lambda names: {name, large_name} <= set(names))
    gallery.wait_for_pictures()
    gallery.shot("uploaded")

    page.get_by_role("button", name="Close the list of uploads").click()
    expect(tray).to_be_hidden()
    page.fill("#prefix", "")
    page.press("#prefix", "Enter")
    gallery.wait_for(lambda names: len(names) >= 100)
    gallery.give("#words", "paste", [(name, "image/jpeg", data)])
    gallery.wait_for(lambda names: names[:1] == [name])
    assert float(page.locator(f"{gallery.tile(name)} .score").inner_text()) > 0.99


def test_files_are_chosen_too_and_lead_to_similar_ones(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload pictures").click()
    name = f"chosen-{gallery.size}.jpg"
    chooser.value.set_files(FilePayload(name=name, mimeType="image/jpeg", buffer=drawing(700 + int(gallery.size))))
    row = page.locator("#uploads li.ready")
    expect(row).to_have_count(1, timeout=60_000)
    assert name not in gallery.names()  # it is not below the folder that is shown
    row.get_by_role("button", name="More like this").click()
    found = gallery.wait_for(lambda names: len(names) == 60)
    assert name not in found


@pytest.mark.parametrize("way", ["refused", "too large"])
def test_an_upload_that_fails_can_be_tried_again(gallery: Gallery, way: str) -> None:
    gallery.expected.append("ERR_FAILED")
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    bucket = f"{gallery.stack.endpoint}/{gallery.stack.uploads_bucket}"
    page.route(bucket, lambda route: route.abort())
    if way == "too large":
        form = {"url": bucket, "fields": {}, "source": gallery.stack.source("x"), "max_bytes": 10, "expires_in": 900}
        page.route("**/uploads", lambda route: route.fulfill(json=form))
    file = (f"again-{gallery.size}.jpg", "image/jpeg", drawing(800 + int(gallery.size)))
    gallery.drop("#drop-upload", [file])
    failed = page.locator("#uploads li.failed")
    expect(failed).to_have_count(1)
    if way == "too large":
        expect(failed).to_contain_text("at most 10 bytes")
        expect(failed.get_by_role("button")).to_have_count(0)
        return
    page.unroute(bucket)
    failed.get_by_role("button", name="Try again").click()
    expect(page.locator("#uploads li.ready")).to_have_count(1, timeout=60_000)
