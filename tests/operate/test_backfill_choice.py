"""Which objects a backfill sends."""

import pytest

from infra.operate.account import Account
from infra.operate.backfill.choice import Verdict, Wanted, judge
from infra.operate.backfill.objects import Found, Slice
from tests.operate.conftest import BUCKET, put_item

OURS, OTHER = "a" * 64, "b" * 64


def wire(**texts: str) -> dict[str, dict[str, str]]:
    return {name: {"S": text} for name, text in texts.items()}


DONE = wire(status="success", etag="e1", fingerprint=OURS)
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
        (DONE, "done already", "done already", "done already", "sent"),
        (REJECTED, "rejected already", "rejected already", "sent", "sent"),
        (OLD_MODEL, "of another model", "sent", "of another model", "sent"),
        (OLD_REJECTED, "of another model", "sent", "of another model", "sent"),
    ],
)
def test_what_the_table_says_decides(
    item: dict[str, dict[str, str]] | None, plain: str, reembed: str, rejected: str, everything: str
) -> None:
    found = Found("a.png", 10, "e1")
    assert Wanted(OURS).verdict(found, item) == plain
    assert Wanted(OURS, reembed=True).verdict(found, item) == reembed
    assert Wanted(OURS, rejected=True).verdict(found, item) == rejected
    assert Wanted(OURS, everything=True).verdict(found, item) == everything


def test_folder_markers_are_left_alone_whatever_is_wanted() -> None:
    assert Wanted(OURS, everything=True).verdict(Found("a/", 0, "e"), None) is Verdict.IGNORED
    assert Wanted(OURS).verdict(Found("a/", 3, "e"), None) is Verdict.SENT


def test_what_the_function_may_not_read_is_left_alone() -> None:
    wanted = Wanted(OURS, everything=True, prefix="shop/", suffix=".jpg")
    verdicts = [wanted.verdict(Found(key, 10, "e"), None) for key in ("shop/a.jpg", "a.jpg", "shop/a.png", "shop/")]
    assert verdicts == [Verdict.SENT, *[Verdict.FILTERED] * 3]


def test_a_key_like_a_folder_s_is_sent_where_its_size_is_not_known() -> None:
    assert Wanted(OURS).verdict(Found("a/", None, "e"), None) is Verdict.SENT


def test_an_inventory_without_etags_goes_by_the_fingerprint() -> None:
    assert Wanted(OURS).verdict(Found("a.png", 10, None), OVERWRITTEN) is Verdict.DONE
    assert Wanted(OURS, reembed=True).verdict(Found("a.png", 10, None), OLD_MODEL) is Verdict.SENT


def test_a_slice_is_judged_by_its_own_items_only(account: Account) -> None:
    keys = [f"a b/Ü+{number}.png" for number in range(100)]
    for key in keys[::3]:
        put_item(account, f"s3://{BUCKET}/{key}", status="success", etag="e1", fingerprint=OURS)
        put_item(account, f"s3://other/{key}", status="success", etag="e1", fingerprint=OURS)
    part = Slice(tuple(Found(key, 10, "e1") for key in keys), keys[-1])
    judged = judge(account, BUCKET, Wanted(OURS), part)
    assert [found.key for found in judged.sent()] == [key for key in keys if key not in keys[::3]]
