"""Searching: words, pictures, examples, filters, near-duplicates, the history."""

import re

import pytest
from playwright.sync_api import FilePayload, expect

from infra.local.images import samples
from tests.browser.conftest import OpenGallery
from tests.browser.gallery import Gallery

CATS = ["chelsea-small.jpg", "chelsea.png"]


def photo(name: str) -> bytes:
    return next(each.path for each in samples() if each.path.name == name).read_bytes()


def test_a_word_finds_pictures_with_scores_and_folded_duplicates(gallery: Gallery) -> None:
    gallery.open()
    gallery.search("cat")
    (found,) = gallery.wait_for(lambda names: len(names) == 1)
    assert found in CATS
    tile = gallery.page.locator(gallery.tile(found))
    assert re.fullmatch(r"(9\d|100) %", tile.locator(".score").inner_text())
    expect(gallery.page.locator("#status")).to_have_text("1 hit")
    expect(gallery.page.locator("#live")).to_have_text("1 hit, “cat”")
    gallery.wait_for_pictures()
    gallery.shot("word")

    tile.locator(".fold").click()
    assert set(gallery.wait_for(lambda names: len(names) == 1)) == set(CATS) - {found}
    gallery.page.go_back()
    gallery.wait_for([found])
    gallery.page.get_by_role("switch", name="Fold duplicates").uncheck()
    assert sorted(gallery.wait_for(lambda names: len(names) == 2)) == CATS
    assert "fold=0" in gallery.page.url


def test_an_unknown_word_has_suggestions(gallery: Gallery) -> None:
    gallery.expected.append("400 .*/search")
    gallery.open()
    gallery.search("espreso")
    expect(gallery.page.get_by_role("heading", name="The model does not know “espreso”")).to_be_visible()
    gallery.shot("unknown-word")
    gallery.page.locator("#message").get_by_role("button", name="espresso", exact=True).click()
    gallery.wait_for(lambda names: names[:1] == ["coffee.png"])
    expect(gallery.page.locator("#words")).to_have_value("espresso")


def test_words_beside_pictures_do_not_go_together_with_this_model(gallery: Gallery) -> None:
    gallery.expected.append("400 .*/search")
    gallery.open(f"like={gallery.stack.source('still/coffee.png')}")
    gallery.wait_for(lambda names: len(names) == 60)
    gallery.search("cat")
    expect(gallery.page.get_by_role("heading", name="These do not go together")).to_be_visible()
    gallery.page.get_by_role("button", name="Search for “cat” alone").click()
    assert set(gallery.wait_for(lambda names: len(names) == 1)) < set(CATS)


@pytest.mark.parametrize("way", ["chosen", "dropped", "pasted", "large"])
def test_a_picture_of_the_user_finds_the_stored_one(gallery: Gallery, way: str) -> None:
    gallery.open()
    gallery.wait_for(lambda names: len(names) >= 100)
    page = gallery.page
    file = ("mine.png", "image/png", photo("coffee.png"))
    if way == "chosen":
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Search with a picture").click()
        chooser.value.set_files(FilePayload(name=file[0], mimeType=file[1], buffer=file[2]))
    elif way == "dropped":
        gallery.give("body", ["dragenter"], [file])
        gallery.shot("drop")
        gallery.drop("#drop-search", [file])
        expect(page.locator("#drop")).to_be_hidden()
    elif way == "pasted":
        gallery.give("#words", "paste", [file])
    else:
        gallery.give("#words", "paste", [("hubble.jpg", "image/jpeg", photo("hubble_deep_field.jpg"))])
    expected = "hubble_deep_field.jpg" if way == "large" else "coffee.png"
    gallery.wait_for(lambda names: names[:1] == [expected] and len(names) == 60)
    assert float(page.locator(f"{gallery.tile(expected)} .score").inner_text()) > 0.97
    expect(page.locator("#examples img")).to_have_count(1)
    gallery.wait_for_pictures()
    if way == "dropped":
        gallery.shot("by-picture")


def test_more_like_this_plus_and_minus(gallery: Gallery) -> None:
    gallery.open("prefix=textures/")
    gallery.wait_for(["brick.png", "grass.png", "gravel.png", "retina.jpg"])
    page = gallery.page
    page.locator(f"{gallery.tile('grass.png')} .open").focus()
    page.keyboard.press("m")
    first = gallery.wait_for(lambda names: names[:1] == ["gravel.png"])
    assert first[1:] == ["brick.png", "retina.jpg"]  # the filter stays
    score = float(page.locator(f"{gallery.tile('brick.png')} .score").inner_text())

    page.click(f"{gallery.tile('brick.png')} .open")
    page.get_by_role("dialog").get_by_role("button", name="Exclude").click()
    gallery.wait_for(lambda names: len(names) == 2 and "brick.png" not in names)
    expect(page.locator(".example.unlike")).to_have_count(1)
    gallery.wait_for_pictures()
    gallery.shot("plus-and-minus")
    page.get_by_role("button", name="Unlike brick.png: turn around").click()
    expect(page.locator(".example.like")).to_have_count(2)
    gallery.wait_for(lambda names: len(names) == 2)
    page.get_by_role("button", name="Remove brick.png from the search").click()
    gallery.wait_for(lambda names: names[:1] == ["gravel.png"] and len(names) == 3)
    assert float(page.locator(f"{gallery.tile('brick.png')} .score").inner_text()) == score

    for _ in range(3):
        page.go_back()
    gallery.wait_for(["gravel.png", "brick.png", "retina.jpg"])
    page.go_back()
    gallery.wait_for(["brick.png", "grass.png", "gravel.png", "retina.jpg"])


def test_buttons_for_the_pointer(new_gallery: OpenGallery) -> None:
    gallery = new_gallery("1440")  # a phone has no pointer that hovers; its buttons are in the detail view
    gallery.open("prefix=textures/")
    gallery.wait_for(["brick.png", "grass.png", "gravel.png", "retina.jpg"])
    gallery.page.hover(gallery.tile("grass.png"))
    gallery.page.get_by_role("button", name="More like grass.png").click()
    gallery.wait_for(lambda names: names[:1] == ["gravel.png"])
    gallery.page.hover(gallery.tile("retina.jpg"))
    gallery.page.get_by_role("button", name="Add retina.jpg to the search").click()
    gallery.wait_for(lambda names: len(names) == 2)
    gallery.page.hover(gallery.tile("brick.png"))
    gallery.page.get_by_role("button", name="Search for what is unlike brick.png").click()
    gallery.wait_for(["gravel.png"])


def test_labels_and_folders_filter(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    page.locator("#labels").get_by_role("button", name="espresso", exact=True).click()
    gallery.wait_for(["coffee.png"])
    expect(page.locator("#labels").get_by_role("button", name="espresso")).to_have_attribute("aria-pressed", "true")
    gallery.shot("label")
    page.fill("#prefix", "animals/")
    page.press("#prefix", "Enter")
    expect(page.get_by_role("heading", name="No hits")).to_be_visible()
    page.locator("#labels").get_by_role("button", name="espresso").click()
    gallery.wait_for(CATS)
    assert page.url.endswith("#prefix=animals%2F")
    page.click(f"{gallery.tile('chelsea.png')} .open")
    page.get_by_role("dialog").get_by_role("button", name="feline", exact=True).click()
    gallery.wait_for(lambda names: len(names) == 1 and names[0] in CATS)
    expect(page.locator("#prefix")).to_have_value("animals/")


def test_hits_have_pages_too(gallery: Gallery) -> None:
    gallery.open(f"like={gallery.stack.source('zz-shapes/000.jpg')}&fold=0")
    gallery.wait_for(lambda names: len(names) == 60)
    for _ in range(40):
        gallery.page.mouse.wheel(0, 1500)
        gallery.page.wait_for_timeout(60)
    total = gallery.stored("success") - 1  # all but itself
    gallery.wait_for(lambda names: len(names) == total)
    expect(gallery.page.locator("#status")).to_have_text(f"{total} hits")


def test_the_keyboard_alone_is_enough(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(["clock_motion.png", "coffee.png", "coins.png"])
    page = gallery.page
    keys = page.keyboard
    keys.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    keys.press("Enter")
    expect(page.locator(f"{gallery.tile('clock_motion.png')} .open")).to_be_focused()
    keys.press("ArrowRight")
    focused = page.locator(f"{gallery.tile('coffee.png')} .open")
    expect(focused).to_be_focused()
    assert focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    gallery.shot("focus")
    keys.press("Enter")
    expect(page.get_by_role("dialog", name="coffee.png")).to_be_visible()
    keys.press("Escape")
    expect(focused).to_be_focused()
    keys.press("End")
    expect(page.locator(f"{gallery.tile('coins.png')} .open")).to_be_focused()
    keys.press("/")
    expect(page.locator("#words")).to_be_focused()
    keys.type("espresso")
    keys.press("Enter")
    gallery.wait_for(["coffee.png"])
    keys.press("ArrowDown")
    expect(focused).to_be_focused()
    keys.press("+")
    expect(page.locator(".example.like")).to_have_count(1)
    gallery.expected.append("400 .*/search")  # words and pictures do not go together
    expect(page.get_by_role("heading", name="These do not go together")).to_be_visible()
    for _ in range(40):
        keys.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Search without the words":
            break
    keys.press("Enter")
    gallery.wait_for(lambda names: sorted(names) == ["clock_motion.png", "coins.png"])


def test_arrows_move_by_rows(gallery: Gallery) -> None:
    gallery.open()
    gallery.wait_for(lambda names: len(names) >= 100)
    page = gallery.page
    page.click("#words")
    page.keyboard.press("ArrowDown")

    def place() -> list[float]:
        """The left and the upper edge of what has the focus, on the page."""
        found: list[float] = page.evaluate(
            """(() => {
                 const { left, top } = document.activeElement.getBoundingClientRect();
                 return [Math.round(left), Math.round(top + scrollY)];
               })()"""
        )
        return found

    first = place()
    page.keyboard.press("ArrowDown")
    below = place()
    assert below[1] > first[1]
    assert abs(below[0] - first[0]) < 300
    page.keyboard.press("ArrowUp")
    assert place() == first


def test_help_lists_the_keys(gallery: Gallery) -> None:
    gallery.open("prefix=still/")
    gallery.wait_for(lambda names: len(names) == 3)
    gallery.page.locator("#skip").focus()
    gallery.page.keyboard.press("?")
    expect(gallery.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    gallery.shot("keys")
