"""`frozen` gives what `dataclasses` gives."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.frozen import frozen


@frozen
class Point:
    """Two coordinates."""

    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="", repr=False)

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclass(frozen=True, slots=True)
class Same:
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="", repr=False)


@frozen
class Deep(Point):
    z: int = 0


@frozen
class Line:
    ends: tuple[Point, Point]


VALUES = st.fixed_dictionaries(
    {"x": st.integers(0, 2)},
    optional={
        "y": st.integers(1, 3),
        "names": st.lists(st.text(max_size=1), max_size=1),
        "secret": st.text(max_size=1),
    },
)


@given(VALUES, VALUES)
def test_it_compares_shows_and_replaces_as_dataclasses_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours, theirs = (Point(**one), Point(**other)), (Same(**one), Same(**other))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (hash(ours[0]) == hash(ours[1])) == (hash(theirs[0]) == hash(theirs[1]))
    assert repr(ours[0]) == repr(theirs[0]).replace("Same", "Point")
    assert asdict(ours[0]) == asdict(theirs[0])
    assert asdict(replace(ours[0], **other)) == asdict(replace(theirs[0], **other))
    assert ours[0].__eq__(theirs[0]) is NotImplemented


def test_values_are_taken_by_position_and_by_name() -> None:
    assert Point(1, 3, secret="s") == Point(y=3, x=1, secret="s")
    assert Point(1).names is not Point(1).names
    assert [each.name for each in fields(Point)] == ["x", "y", "names", "secret"]
    match Point(4, 5):
        case Point(x, y):
            assert (x, y) == (4, 5)
    assert Point(4, 5).sum == 9


def test_the_fields_of_a_base_class_come_first() -> None:
    deep = Deep(1, z=5)
    assert (deep.x, deep.y, deep.z, deep.sum) == (1, 2, 5, 3)
    assert [each.name for each in fields(Deep)] == ["x", "y", "names", "secret", "z"]
    assert deep != Point(1)
    assert replace(deep, z=6) == Deep(1, z=6) != deep
    assert pickle.loads(pickle.dumps(deep)) == deep  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "Point needs x"),
        ((1, 2, [], "", 5), {}, "has 4 fields, got 5 values"),
        ((1,), {"x": 2}, "takes no x"),
        ((1,), {"z": 2}, "takes no z"),
    ],
)
def test_missing_and_superfluous_values_are_errors(values: Any, named: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*values, **named)


def test_instances_cannot_be_changed_and_have_slots() -> None:
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError, match="cannot change x"):
        point.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot change x"):
        del point.x
    assert not hasattr(point, "__dict__")
    assert Point.__doc__ == "Two coordinates."


def test_instances_can_be_copied_and_pickled() -> None:
    line = Line((Point(1, secret="s"), Point(2)))
    assert copy.copy(line) == copy.deepcopy(line) == pickle.loads(pickle.dumps(line)) == line  # noqa: S301 - our own
    assert asdict(line)["ends"][1] == {"x": 2, "y": 2, "names": [], "secret": ""}
