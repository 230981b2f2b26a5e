"""The gallery in a browser, as the tests use it, with all that goes wrong on the page."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import ConsoleMessage, Page, expect

from infra.common.local_stack import Stack, page_address

SHOTS = Path(__file__).parents[2] / "build" / "browser"
SERIOUS = frozenset({"serious", "critical"})

# Makes files in the page, and drops or pastes them.
_GIVE = """([target, kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const at = document.querySelector(target);
  const options = { bubbles: true, cancelable: true };
  if (kind === "paste") return at.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
  for (const type of kind) at.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: transfer }));
}"""

# Counts the thumbnails under way, and the URLs of blobs that are not revoked.
_COUNT = """
window.thumbnails = { now: 0, most: 0, live: 0 };
const [ask, make, revoke] = [fetch, URL.createObjectURL, URL.revokeObjectURL];
window.fetch = async (path, options) => {
  if (!String(path).startsWith("thumbnails?")) return ask(path, options);
  thumbnails.now += 1;
  thumbnails.most = Math.max(thumbnails.most, thumbnails.now);
  try {
    const response = await ask(path, options);
    const blob = await response.clone().blob();
    return new Response(blob, response);
  } finally {
    thumbnails.now -= 1;
  }
};
URL.createObjectURL = (blob) => (thumbnails.live += 1, make(blob));
URL.revokeObjectURL = (url) => (thumbnails.live -= 1, revoke(url));
"""


@dataclass
class Gallery:
    """A page with the gallery.

    Attributes:
        page: the browser's.
        stack: what it shows.
        size: `390` or `1440`, for the names of screenshots.
        expected: patterns of console errors that a test causes itself.
        errors: what went wrong.
        urls: of all requests.
    """

    page: Page
    stack: Stack
    size: str
    expected: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.page.on("request", lambda request: self.urls.append(request.url))
        self.page.add_init_script(_COUNT)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def most_thumbnails(self) -> int:
        """How many thumbnails were under way at once, at most."""
        most: int = self.page.evaluate("thumbnails.most")
        return most

    def live_blobs(self) -> int:
        """How many blobs have a URL."""
        live: int = self.page.evaluate("thumbnails.live")
        return live

    def problems(self) -> list[str]:
        """What the page did that it must not do: errors, requests elsewhere, the token in an address."""
        unexpected = [text for text in self.errors if not any(re.search(one, text) for one in self.expected)]
        allowed = {urlsplit(self.stack.api_url or "").netloc, urlsplit(self.stack.endpoint).netloc}
        foreign = [url for url in self.urls if url.startswith("http") and urlsplit(url).netloc not in allowed]
        other = [url for url in self.urls if urlsplit(url).scheme not in {"http", "blob", "data"}]
        token = self.stack.token or ""
        return unexpected + foreign + other + [url for url in self.urls if token in url.partition("#")[0]]

    def open(self, fragment: str = "", *, with_token: bool = True) -> "Gallery":
        address = page_address(self.stack) if with_token else f"{self.stack.api_url}/"
        joint = "&" if with_token else "#"
        self.page.goto(f"{address}{joint}{fragment}" if fragment else address)
        return self

    def shot(self, name: str) -> None:
        """Write a screenshot of the window."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(250)  # transitions
        self.page.screenshot(path=SHOTS / f"{self.size}-{name}.png")

    def stored(self, *statuses: str) -> int:
        """How many items the stack has with one of these statuses; earlier tests may have uploaded some."""
        items = self.stack.dynamodb.scan(TableName=self.stack.table)["Items"]
        return sum(item["status"]["S"] in statuses for item in items)

    # What is on the page.

    def names(self) -> list[str]:
        """The names of the pictures, in the order of the page."""
        found: list[str] = self.page.locator(".tile:not(.placeholder) .name").all_text_contents()
        return found

    def wait_for(self, names: Sequence[str] | Callable[[list[str]], bool]) -> list[str]:
        """Wait until the pictures are these, or fulfil a condition."""
        fulfils = names if callable(names) else lambda found: found == list(names)
        found: list[str] = []
        for _ in range(200):
            found = self.names()
            busy = self.page.locator("#grid[aria-busy]").count()
            if not busy and fulfils(found):
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the page shows {found}; message: {self.page.locator('#message').inner_text()}")

    def wait_until(self, condition: str) -> None:
        """Wait until an expression is true; Playwright's own way needs `eval`, which the page forbids."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not true within 20 s: {condition}")

    def wait_for_pictures(self) -> None:
        """Wait until all pictures in the window are loaded."""
        self.wait_until(
            """[...document.querySelectorAll(".tile img")].filter((image) => {
                 const box = image.getBoundingClientRect();
                 return box.bottom > 0 && box.top < innerHeight;
               }).every((image) => image.classList.contains("loaded"))"""
        )

    def tile(self, name: str) -> str:
        """The selector of a picture."""
        return f'.tile:has(.name:text-is("{name}"))'

    def search(self, words: str) -> None:
        self.page.fill("#words", words)
        self.page.press("#words", "Enter")

    def give(self, target: str, kind: str | Sequence[str], files: Sequence[tuple[str, str, bytes]]) -> None:
        """Drop files on an element (a list of drag events), or paste them."""
        encoded = [(name, media_type, base64.b64encode(data).decode()) for name, media_type, data in files]
        self.page.evaluate(_GIVE, [target, kind, encoded])

    def drop(self, zone: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        """Drag files over the page and drop them on one of the two zones."""
        self.give("body", ["dragenter"], files)
        expect(self.page.locator(zone)).to_be_visible()
        self.give(zone, ["dragenter", "dragover", "drop"], files)

    def axe(self) -> list[str]:
        """What axe-core finds of serious or critical impact."""
        self.page.evaluate(AXE_SCRIPT)
        violations = self.page.evaluate("() => axe.run()")["violations"]
        found: list[str] = [
            f"{each['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
            for each in violations
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]
        return found
