"""Rooms and arrows as an SVG picture."""

from collections.abc import Sequence
from html import escape

from tests.structure.rooms import House

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 132, 38, 22, 46, 24


def draw(houses: Sequence[House]) -> str:
    """The packages side by side; each floor is a row, the importing rooms above the imported ones.

    An arrow that longer paths imply is left out.
    """
    drawn: list[str] = []
    left, height = _MARGIN, 0
    for house in houses:
        parts, width, tall = _house(house, left)
        drawn += parts
        left, height = left + width + 3 * _MARGIN, max(height, tall)
    left -= 2 * _MARGIN
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} {height}" width="{left}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#7a8794"/></marker></defs>'
    )
    background = f'<rect width="{left}" height="{height}" fill="#ffffff"/>'
    return "\n".join([svg, head, background, *drawn, "</svg>\n"])


def _house(house: House, left: int) -> tuple[list[str], int, int]:
    """The shapes of one package, with its width and height."""
    rows: dict[int, list[str]] = {}
    for room, floor in house.floors.items():
        rows.setdefault(floor, []).append(room)
    widest = max(len(row) for row in rows.values())
    width = widest * (_WIDTH + _GAP_X) - _GAP_X
    places: dict[str, tuple[float, float]] = {}
    for floor, row in rows.items():
        start = left + (width - (len(row) * (_WIDTH + _GAP_X) - _GAP_X)) / 2
        top = _MARGIN + 30 + (max(rows) - floor) * (_HEIGHT + _GAP_Y)
        for number, room in enumerate(sorted(row)):
            places[room] = (start + number * (_WIDTH + _GAP_X), top)
    title = f'<text x="{left}" y="{_MARGIN + 8}" font-size="17" font-weight="600" fill="#1f2933">{house.name}/</text>'
    arrows = [_arrow(places[one], places[other]) for one, other in sorted(house.direct_arrows)]
    rooms = [_room(room, house.rooms[room], *places[room]) for room in house.rooms]
    return [title, *arrows, *rooms], width, _MARGIN * 2 + 30 + (max(rows) + 1) * (_HEIGHT + _GAP_Y)


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _WIDTH / 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH / 2, end[1] - 2
    middle = (y1 + y2) / 2
    return (
        f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}" fill="none" '
        'stroke="#7a8794" stroke-width="1.1" opacity="0.75" marker-end="url(#head)"/>'
    )


def _room(name: str, modules: int, x: float, y: float) -> str:
    label = name if modules == 1 else f"{name}/"
    count = "" if modules == 1 else f'<tspan fill="#7a8794"> {modules}</tspan>'
    middle = x + _WIDTH / 2
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef3f8" stroke="#4a6fa5"/>'
        f'<text x="{middle:.0f}" y="{y + 24:.0f}" text-anchor="middle" fill="#1f2933">{escape(label)}{count}</text>'
    )
