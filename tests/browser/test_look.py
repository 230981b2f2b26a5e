"""Looking at pictures: the first page, scrolling, the detail view, the token."""

import re
import time

import pytest
from playwright.sync_api import Route, expect

from infra.local.server import LocalAws
from tests.browser.conftest import OpenGallery
from tests.browser.gallery import Gallery
from tests.browser.photos import HOSTILE

FIRST_PICTURES_SECONDS = 1.5
TRIES = 8  # other programs may keep the processors busy
FIRST_NAMES = [
    "chelsea-small.jpg",
    "chelsea.png",
    HOSTILE.partition("/")[2],
    "broken.jpg",
    "astronaut.png",
    "camera.png",
]


def test_the_first_page_shows_pictures_in_the_order_of_their_keys(gallery: Gallery) -> None:
    gallery.open()
    found = gallery.wait_for(lambda names: len(names) >= 100)
    assert found[:6] == FIRST_NAMES
    first_shape = found.index("000.jpg")
    assert found[first_shape + 1] == "001.jpg"
    gallery.wait_for_pictures()
    expect(gallery.page.locator(gallery.tile("broken.jpg"))).to_contain_text("Not a picture")
    assert 2 < gallery.most_thumbnails() <= 6
    gallery.shot("first-page")


def test_the_token_leaves_the_address(gallery: Gallery) -> None:
    gallery.open()
    gallery.wait_for(lambda names: len(names) >= 100)
    assert gallery.stack.token
    assert gallery.stack.token not in gallery.page.url
    gallery.page.reload()  # the browser's tab keeps it
    gallery.wait_for(lambda names: len(names) >= 100)
    assert gallery.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_the_first_pictures_are_there_soon(new_gallery: OpenGallery) -> None:
    def seconds(size: str) -> float:
        gallery = new_gallery(size)
        started = time.perf_counter()
        gallery.open()
        gallery.page.locator(".tile img.loaded").first.wait_for()
        return time.perf_counter() - started

    for size in ("1440", "390"):
        times: list[float] = []
        while len(times) < TRIES and min(times, default=FIRST_PICTURES_SECONDS) >= FIRST_PICTURES_SECONDS:
            times.append(seconds(size))
        assert min(times) < FIRST_PICTURES_SECONDS, times


def test_more_pictures_follow_while_scrolling_and_their_memory_is_freed(gallery: Gallery) -> None:
    total = gallery.stored("success", "error")
    gallery.open()
    gallery.wait_for(lambda names: 100 <= len(names) < total)
    gallery.wait_for_pictures()
    for _ in range(60):
        gallery.page.mouse.wheel(0, 1500)
        gallery.page.wait_for_timeout(60)
    sources = "new Set([...document.querySelectorAll('.tile')].map((tile) => tile.entry.source)).size"
    gallery.wait_for(lambda names: len(names) == total)
    assert gallery.page.evaluate(sources) == total
    gallery.page.locator("#end").wait_for()
    gallery.wait_for_pictures()
    gallery.wait_until("thumbnails.live === document.querySelectorAll('.tile img[src]').length")
    assert 0 < gallery.live_blobs() < total * 0.8
    assert gallery.most_thumbnails() <= 6


def test_the_browser_keeps_thumbnails(new_gallery: OpenGallery) -> None:
    gallery = new_gallery()
    sizes = """performance.getEntriesByType("resource")
                 .filter(({ name }) => name.includes("/thumbnails?")).map(({ transferSize }) => transferSize)"""
    gallery.open("prefix=animals/")
    gallery.wait_for(["chelsea-small.jpg", "chelsea.png"])
    gallery.wait_for_pictures()
    assert all(size > 1000 for size in gallery.page.evaluate(sizes))
    gallery.page.reload()
    gallery.wait_for(["chelsea-small.jpg", "chelsea.png"])
    gallery.wait_for_pictures()
    assert gallery.page.evaluate(sizes) == [0, 0]


def test_the_detail_view(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    page.click(f"{gallery.tile('coffee.png')} .open")
    dialog = page.get_by_role("dialog", name="coffee.png")
    expect(dialog.locator("#detail-picture.loaded")).to_be_visible()
    expect(dialog).to_contain_text("espresso")
    expect(dialog).to_contain_text("600 \N{MULTIPLICATION SIGN} 400")
    expect(dialog).to_contain_text("PNG, 467 KB")
    link = dialog.get_by_role("link", name="Open the original")
    expect(link).to_have_attribute("href", re.compile(re.escape(gallery.stack.endpoint)))
    assert link.get_attribute("rel") == "noopener noreferrer"
    with page.expect_popup() as popup:
        link.click()
    popup.value.wait_for_load_state()
    assert popup.value.evaluate("[document.contentType, document.images[0].naturalWidth]") == ["image/png", 600]
    popup.value.close()
    gallery.shot("detail")

    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="coins.png")).to_be_visible()
    expect(page.get_by_role("button", name="Next picture")).to_be_disabled()
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()
    assert "item=" not in page.url
    page.go_forward()
    expect(page.get_by_role("dialog", name="coins.png")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(f"{gallery.tile('coins.png')} .open")).to_be_focused()


def test_a_search_that_follows_the_detail_view_at_once_stays(gallery: Gallery) -> None:
    """The browser goes back to the list later than the page asks for it."""
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    gallery.page.click(f"{gallery.tile('coins.png')} .open")
    expect(gallery.page.get_by_role("dialog", name="coins.png")).to_be_visible()
    gallery.page.evaluate(
        """() => {
          const search = () => {
            document.getElementById("words").value = "espresso";
            document.getElementById("search").requestSubmit();
          };
          document.getElementById("detail").addEventListener("close", search, { once: true });
          document.getElementById("detail-close").click();
        }"""
    )
    gallery.wait_for(["coffee.png"])
    assert "q=espresso" in gallery.page.url
    gallery.page.go_back()
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    expect(gallery.page.locator("#detail")).to_be_hidden()


def test_a_late_close_event_leaves_a_view_that_is_open_again(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    page.click(f"{gallery.tile('coins.png')} .open")
    expect(page.get_by_role("dialog", name="coins.png")).to_be_visible()
    page.evaluate(
        """() => addEventListener(
          "close", (event) => event.stopImmediatePropagation(), { capture: true, once: true }
        )"""
    )
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()
    page.go_forward()
    expect(page.get_by_role("dialog", name="coins.png")).to_be_visible()
    page.evaluate("document.getElementById('detail').dispatchEvent(new Event('close'))")
    page.wait_for_timeout(300)
    expect(page.get_by_role("dialog", name="coins.png")).to_be_visible()
    assert "item=" in page.url


def test_a_picture_has_an_address(gallery: Gallery) -> None:
    gallery.open(f"prefix=still/&item={gallery.stack.source('still/coffee.png')}")
    expect(gallery.page.get_by_role("dialog", name="coffee.png")).to_be_visible()
    gallery.page.get_by_role("button", name="Close", exact=True).click()
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    assert gallery.page.url.endswith("#prefix=still%2F")


def test_a_rejected_file_says_why(gallery: Gallery) -> None:
    gallery.open("prefix=notes/broken")
    gallery.wait_for(["broken.jpg"])
    gallery.page.click(f"{gallery.tile('broken.jpg')} .open")
    dialog = gallery.page.get_by_role("dialog", name="broken.jpg")
    expect(dialog.locator(".message")).not_to_be_empty()
    expect(dialog.get_by_role("button", name="More like this")).to_have_count(0)
    expect(dialog.get_by_role("link", name="Open the original")).to_have_attribute("href", re.compile("^http"))


def test_names_are_texts_and_not_html(gallery: Gallery) -> None:
    name = HOSTILE.partition("/")[2]
    gallery.open("prefix=notes/<")
    gallery.wait_for([name])
    gallery.page.click(".tile .open")
    expect(gallery.page.locator("#detail-title")).to_have_text(name)
    expect(gallery.page.locator("img[src='x']")).to_have_count(0)


def test_a_token_is_asked_for_and_refused(gallery: Gallery) -> None:
    gallery.expected.append("401 .*/items")
    gallery.open(with_token=False)
    page = gallery.page
    dialog = page.get_by_role("dialog", name="This gallery needs a token")
    expect(dialog.get_by_label("Token")).to_be_focused()
    assert not [url for url in gallery.urls if "/items" in url]
    gallery.shot("token")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.keyboard.type("no token at all")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("without spaces")
    dialog.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("refused")
    gallery.shot("token-refused")
    dialog.get_by_label("Token").fill(f" {gallery.stack.token} ")
    page.keyboard.press("Enter")
    gallery.wait_for(lambda names: len(names) >= 100)
    expect(dialog).to_be_hidden()


def test_an_empty_folder(gallery: Gallery) -> None:
    gallery.open("prefix=none/")
    expect(gallery.page.get_by_role("heading", name="No pictures below none/")).to_be_visible()
    gallery.shot("empty")
    gallery.page.get_by_role("button", name="Show all pictures").click()
    gallery.wait_for(lambda names: len(names) >= 100)


def test_an_api_that_does_not_answer(gallery: Gallery) -> None:
    gallery.expected += ["ERR_FAILED .*/items", "503 .*/items"]
    page = gallery.page
    page.route("**/items?**", lambda route: route.abort())
    gallery.open("prefix=still/")
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    gallery.shot("failed")
    page.unroute("**/items?**")
    busy: list[str] = []

    def refuse_once(route: Route) -> None:
        if busy:
            route.continue_()
        else:
            busy.append(route.request.url)
            error = {"status": "error", "error": "busy", "error_code": "unavailable"}
            route.fulfill(status=503, headers={"retry-after": "1"}, json=error)

    page.route("**/items?**", refuse_once)
    page.get_by_role("button", name="Try again").click()
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    assert busy


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_in_both_schemes(new_gallery: OpenGallery, aws: LocalAws, scheme: str) -> None:
    aws.check_alive()
    for size in ("1440", "390"):
        gallery = new_gallery(size, scheme)
        gallery.open()
        gallery.wait_for(lambda names: len(names) >= 100)
        gallery.wait_for_pictures()
        ground = gallery.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert ground == {"light": "rgb(251, 251, 252)", "dark": "rgb(19, 20, 23)"}[scheme]
        gallery.shot(f"first-page-{scheme}")
        assert gallery.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
