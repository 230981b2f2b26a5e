"""A short version of `make backfill-run`: a backfill that is killed and resumed, and one after a change of model."""

from tests.soak.soak_backfill import run


def test_a_killed_and_resumed_backfill_gives_every_object_a_correct_item() -> None:
    objects = 210
    result = run(objects, kills=1, rate=200, report=lambda _: None)
    assert result.is_correct, "\n".join(result.lines())
    # Each pass sends all objects, except those that were uploaded or deleted during the run.
    for step in ("first, completed", "again, completed"):
        assert 0.8 * objects < result.sent(step) <= objects
