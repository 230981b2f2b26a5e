"""What the benchmarks make of their runs."""

import pytest

from tests.bench.figures import Figure, compared
from tests.bench.ratios import paired_ratio, quantile


def test_a_ratio_is_that_of_neighbouring_runs_not_of_the_medians() -> None:
    # The machine slows down threefold in the middle of it; ours always takes half of what its neighbour takes.
    theirs = [10.0, 10.0, 30.0, 30.0]
    ratio = paired_ratio([value / 2 for value in theirs], theirs)
    assert (ratio.middle, ratio.low, ratio.high, ratio.pairs) == (0.5, 0.5, 0.5, 4)


def test_one_bad_pair_does_not_move_the_middle() -> None:
    ratio = paired_ratio([1.0, 1.0, 90.0, 1.0, 1.0], [4.0, 4.0, 4.0, 4.0, 4.0])
    assert ratio.middle == 0.25


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], []), ([1.0], [1.0, 2.0])])
def test_runs_without_neighbours_are_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|shorter|longer"):
        paired_ratio(ours, theirs)


@pytest.mark.parametrize(("share", "value"), [(0, 1.0), (0.25, 2.0), (0.5, 3.0), (0.875, 4.5), (1, 5.0)])
def test_quantiles_lie_between_values_in_proportion(share: float, value: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], share) == value


@pytest.mark.parametrize(("ours", "met"), [([27.0], True), ([29.0], False)])
def test_a_limit_on_a_ratio(ours: list[float], met: bool) -> None:
    assert compared("exec to ready", "ms", [100.0], ours).met is met


@pytest.mark.parametrize(("ours", "met"), [(4.9, True), (5.1, False)])
def test_a_limit_on_the_figure_itself(ours: float, met: bool) -> None:
    assert Figure("warm invocation, all but decode, inference and network", "ms", 40.0, ours).met is met


@pytest.mark.parametrize(("ours", "met"), [(0.9995, True), (0.9985, False)])
def test_a_cosine_has_a_limit_from_below(ours: float, met: bool) -> None:
    assert Figure("cosine of the vectors of both, lowest", "", None, ours).met is met


def test_what_has_no_limit_is_neither_met_nor_missed() -> None:
    assert compared("processor time", "ms", [1.0], [2.0]).met is None
