"""The local AWS with photos, and Debian's Chromium."""

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from infra.bake.reuse import bundle_for
from infra.common.local_stack import Stack
from infra.local.outcomes import upload_and_await
from infra.local.search_index import await_indexed
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy
from tests.browser.gallery import Gallery
from tests.browser.photos import photos

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WAIT_MILLISECONDS = 20_000
WINDOWS = {"1440": (1440, 900), "390": (390, 844)}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws") / "aws.log") as running:
        yield running


@pytest.fixture(scope="session")
def stack(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    made = deploy(aws, bundle_for("efficientnet-lite0"))
    items = upload_and_await(aws, made, photos(tmp_path_factory.mktemp("photos")), lambda _uploaded, _ended: None)
    await_indexed(aws, made, items.values())
    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM)
        expect.set_options(timeout=WAIT_MILLISECONDS)
        yield running
        running.close()


OpenGallery = Callable[..., Gallery]


@pytest.fixture
def new_gallery(browser: Browser, stack: Stack) -> Iterator[OpenGallery]:
    """Makes pages; at the end, none of them may have had a problem."""
    made: list[Gallery] = []

    def make(size: str = "1440", scheme: str = "light") -> Gallery:
        width, height = WINDOWS[size]
        is_phone = size == "390"
        context = browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=2 if is_phone else 1,
            has_touch=is_phone,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(WAIT_MILLISECONDS)
        gallery = Gallery(context.new_page(), stack, size)
        gallery.watch()
        made.append(gallery)
        return gallery

    yield make
    problems = [problem for gallery in made for problem in gallery.problems()]
    for gallery in made:
        gallery.page.context.close()
    assert problems == []


@pytest.fixture(params=list(WINDOWS))
def gallery(new_gallery: OpenGallery, request: pytest.FixtureRequest) -> Gallery:
    """A page, on a desktop and on a phone."""
    return new_gallery(request.param)
