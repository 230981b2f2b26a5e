"""A short run of what `make backfill-run` does with 20,000 objects: killed twice, run again, and a change of model."""

from tests.soak.soak_backfill import run


def test_a_backfill_that_is_killed_ends_with_one_right_item_for_every_object() -> None:
    objects = 210
    result = run(objects, kills=1, rate=200, say=lambda _: None)
    assert result.is_right, "\n".join(result.lines())
    # Each pass sends what is there, but for what uploads and deletions have settled meanwhile.
    for step in ("first, to its end", "again, to its end"):
        assert 0.8 * objects < result.sent(step) <= objects
