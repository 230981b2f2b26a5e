"""A short run of what `make soak` does at length: uploads while AWS fails one call in ten."""

from tests.soak.soak_faults import run


def test_every_upload_comes_out_right_and_only_poison_is_left() -> None:
    result = run(60, outages=0, visibility=3, watch=lambda _uploaded, _right: None)
    assert result.is_right, "\n".join(result.lines())
    assert result.faults.total() > 0.05 * result.requests
