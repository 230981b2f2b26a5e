"""The figure of the packages: floors follow the imports, and circles are found."""

from tests.structure.drawing import draw
from tests.structure.rooms import House

STRAIGHT = House("house", {"attic": 1, "hall": 2, "cellar": 1}, frozenset({("attic", "hall"), ("hall", "cellar")}))


def test_each_room_stands_above_what_it_imports() -> None:
    assert STRAIGHT.floors == {"attic": 2, "hall": 1, "cellar": 0}
    assert STRAIGHT.circles == ()


def test_rooms_that_import_each_other_are_circles() -> None:
    house = House("house", STRAIGHT.rooms, STRAIGHT.arrows | {("cellar", "hall")})
    assert house.circles == ("hall", "cellar")


def test_an_implied_arrow_is_counted_but_not_drawn() -> None:
    house = House("house", STRAIGHT.rooms, STRAIGHT.arrows | {("attic", "cellar")})
    assert house.direct_arrows == STRAIGHT.arrows
    assert draw([house]).count("marker-end") == 2
