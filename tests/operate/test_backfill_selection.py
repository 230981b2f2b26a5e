"""Selection of the objects that a backfill sends."""

import pytest

from infra.operate.backfill.objects import ListedObject, Slice
from infra.operate.backfill.selection import Decision, Selection, decide_slice
from infra.operate.stack import DeployedStack
from tests.operate.conftest import BUCKET, put_item

OURS, OTHER = "a" * 64, "b" * 64


def wire(**texts: str) -> dict[str, dict[str, str]]:
    return {name: {"S": text} for name, text in texts.items()}


EMBEDDED = wire(status="success", etag="e1", fingerprint=OURS)
REJECTED = wire(status="error", etag="e1", fingerprint=OURS)
OLD_MODEL = wire(status="success", etag="e1", fingerprint=OTHER)
OLD_REJECTED = wire(status="error", etag="e1", fingerprint=OTHER)
OVERWRITTEN = wire(status="success", etag="e0", fingerprint=OURS)
TOMBSTONE = wire(status="deleted")


@pytest.mark.parametrize(
    ("item", "plain", "reembed", "rejected", "everything"),
    [
        (None, "sent", "sent", "sent", "sent"),
        (TOMBSTONE, "sent", "sent", "sent", "sent"),
        (OVERWRITTEN, "sent", "sent", "sent", "sent"),
        (EMBEDDED, "already embedded", "already embedded", "already embedded", "sent"),
        (REJECTED, "already rejected", "already rejected", "sent", "sent"),
        (OLD_MODEL, "embedded by another model", "sent", "embedded by another model", "sent"),
        (OLD_REJECTED, "embedded by another model", "sent", "embedded by another model", "sent"),
    ],
)
def test_the_decision_depends_on_the_item(
    item: dict[str, dict[str, str]] | None, plain: str, reembed: str, rejected: str, everything: str
) -> None:
    listed = ListedObject("a.png", 10, "e1")
    assert Selection(OURS).decide(listed, item) == plain
    assert Selection(OURS, reembed=True).decide(listed, item) == reembed
    assert Selection(OURS, rejected=True).decide(listed, item) == rejected
    assert Selection(OURS, everything=True).decide(listed, item) == everything


def test_folder_markers_are_always_ignored() -> None:
    assert Selection(OURS, everything=True).decide(ListedObject("a/", 0, "e"), None) is Decision.IGNORED
    assert Selection(OURS).decide(ListedObject("a/", 3, "e"), None) is Decision.SENT


def test_keys_that_the_function_cannot_read_are_skipped() -> None:
    selection = Selection(OURS, everything=True, prefix="shop/", suffix=".jpg")
    keys = ("shop/a.jpg", "a.jpg", "shop/a.png", "shop/")
    decisions = [selection.decide(ListedObject(key, 10, "e"), None) for key in keys]
    assert decisions == [Decision.SENT, *[Decision.FILTERED] * 3]


def test_a_key_that_ends_in_a_slash_is_sent_if_its_size_is_unknown() -> None:
    assert Selection(OURS).decide(ListedObject("a/", None, "e"), None) is Decision.SENT


def test_without_etags_only_the_fingerprint_decides() -> None:
    assert Selection(OURS).decide(ListedObject("a.png", 10, None), OVERWRITTEN) is Decision.DONE
    assert Selection(OURS, reembed=True).decide(ListedObject("a.png", 10, None), OLD_MODEL) is Decision.SENT


def test_items_of_other_buckets_do_not_count(stack: DeployedStack) -> None:
    keys = [f"a b/Ü+{number}.png" for number in range(100)]
    for key in keys[::3]:
        put_item(stack, f"s3://{BUCKET}/{key}", status="success", etag="e1", fingerprint=OURS)
        put_item(stack, f"s3://other/{key}", status="success", etag="e1", fingerprint=OURS)
    part = Slice(tuple(ListedObject(key, 10, "e1") for key in keys), keys[-1])
    decided = decide_slice(stack, BUCKET, Selection(OURS), part)
    assert [listed.key for listed in decided.sent()] == [key for key in keys if key not in keys[::3]]
