"""Groups of near-identical pictures, beside a plain search of connected components."""

import numpy as np
import pytest

from infra.common import duplicates
from infra.common.duplicates import block_count, estimate_seconds, find_groups, unit_rows


def plain_groups(units: np.ndarray, least: float) -> set[frozenset[int]]:
    near = units @ units.T >= least
    left, groups = set(range(len(units))), set()
    while left:
        group, todo = set(), [min(left)]
        while todo:
            row = todo.pop()
            if row not in group:
                group.add(row)
                todo += np.flatnonzero(near[row]).tolist()
        left -= group
        if len(group) > 1:
            groups.add(frozenset(group))
    return groups


@pytest.mark.parametrize("block", [1, 7, 64, 2048])
@pytest.mark.parametrize("seed", range(4))
def test_groups_are_the_connected_components(monkeypatch: pytest.MonkeyPatch, block: int, seed: int) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", block)
    random = np.random.default_rng(seed)
    centres = random.standard_normal((40, 8))
    vectors = centres[random.integers(0, 40, 150)] + 0.3 * random.standard_normal((150, 8))
    units = unit_rows(vectors.astype(np.float32))
    done: list[int] = []
    groups = find_groups(units, 0.95, done.append)
    assert {frozenset(group.members) for group in groups} == plain_groups(units, 0.95)
    assert done == list(range(1, block_count(len(units)) + 1))
    assert [len(group.members) for group in groups] == sorted((len(g.members) for g in groups), reverse=True)
    for group in groups:
        cosines = units[list(group.members)] @ units[group.members[0]]
        assert group.cosines == pytest.approx(np.minimum(cosines, 1), abs=1e-5)
        assert list(group.cosines) == sorted(group.cosines, reverse=True)


def test_a_chain_is_one_group() -> None:
    angles = np.linspace(0, 1.5, 60, dtype=np.float32)
    (group,) = find_groups(np.column_stack([np.cos(angles), np.sin(angles)]), 0.9995)
    assert sorted(group.members) == list(range(60))


def test_zeros_are_like_nothing() -> None:
    assert find_groups(unit_rows(np.zeros((5, 3), dtype=np.float32)), 0.5) == []


def test_many_equal_pictures_and_an_estimate() -> None:
    units = unit_rows(np.ones((5000, 4), dtype=np.float32))
    (group,) = find_groups(units, 0.98)
    assert len(group.members) == 5000
    assert estimate_seconds(units) > 0
