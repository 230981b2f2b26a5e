"""A package's parts, and which of them import which."""

from dataclasses import dataclass
from functools import cached_property

import grimp


@dataclass(frozen=True)
class House:
    """A package as rooms and arrows.

    Attributes:
        name: the package.
        rooms: its subpackages and modules, without their common prefix, and the number of their modules.
        arrows: (importer, imported) pairs of rooms.
    """

    name: str
    rooms: dict[str, int]
    arrows: frozenset[tuple[str, str]]

    @cached_property
    def circles(self) -> tuple[str, ...]:
        """The rooms from which a path of arrows leads back."""
        return tuple(room for room in self.rooms if room in self._reached_from(room))

    @cached_property
    def floors(self) -> dict[str, int]:
        """Each room's floor: 0 where it imports no other room. Rooms in circles are on floor 0."""
        known: dict[str, int] = dict.fromkeys(self.circles, 0)

        def floor(room: str) -> int:
            if room not in known:
                below = [imported for importer, imported in self.arrows if importer == room]
                known[room] = 1 + max((floor(other) for other in below), default=-1)
            return known[room]

        return {room: floor(room) for room in self.rooms}

    @cached_property
    def direct_arrows(self) -> frozenset[tuple[str, str]]:
        """The arrows that no longer path implies: enough to see what each room rests on."""
        below = {room: {imported for importer, imported in self.arrows if importer == room} for room in self.rooms}
        return frozenset(
            (importer, imported)
            for importer, imported in self.arrows
            if not any(imported in self._reached_from(other) for other in below[importer] - {imported})
        )

    def _reached_from(self, room: str) -> set[str]:
        reached: set[str] = set()
        ahead = [room]
        while ahead:
            here = ahead.pop()
            fresh = {imported for importer, imported in self.arrows if importer == here} - reached
            reached |= fresh
            ahead += fresh
        return reached


def house_of(graph: grimp.ImportGraph, package: str) -> House:
    """The rooms and arrows of a package, from its import graph."""

    def room_of(module: str) -> str:
        parts = module.split(".")
        return parts[1] if len(parts) > 1 else ""

    modules = [module for module in graph.modules if module.startswith(f"{package}.")]
    rooms: dict[str, int] = {}
    for module in sorted(modules):
        rooms[room_of(module)] = rooms.get(room_of(module), 0) + 1
    pairs = {
        (room_of(module), room_of(imported))
        for module in modules
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith(f"{package}.")
    }
    return House(package, rooms, frozenset((one, other) for one, other in pairs if one != other))
