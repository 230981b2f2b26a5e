"""A short version of `make soak`: uploads while one AWS call in ten fails."""

from tests.soak.soak_faults import run


def test_every_upload_is_correct_and_only_invalid_messages_are_dead_letters() -> None:
    result = run(60, outages=0, visibility=3, watch=lambda _uploaded, _correct: None)
    assert result.is_correct, "\n".join(result.lines())
    assert result.faults.total() > 0.05 * result.requests
