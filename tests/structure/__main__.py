"""Draw which packages import which, from the code itself: python -m tests.structure [OUT.svg].

Rooms are the packages and top-level modules of `handler` and `infra`; an arrow goes from what imports to what is
imported. Each room stands one floor above the highest room that it imports. It prints how many rooms, arrows and
circles there are, and the median and longest function and module.
"""

import argparse
import ast
import statistics
import sys
from pathlib import Path

import grimp

from tests.structure.drawing import draw
from tests.structure.rooms import House, house_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("handler", "infra")


def main() -> None:
    """Draw the picture and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "docs" / "structure.svg", metavar="OUT.svg")
    out: Path = parser.parse_args().out
    houses = [house_of(grimp.build_graph(package), package) for package in PACKAGES]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(draw(houses), encoding="utf-8")
    sys.stdout.write("".join(f"{_figures(house)}\n" for house in houses))


def _figures(house: House) -> str:
    modules = {path: path.read_text(encoding="utf-8") for path in (ROOT / house.name).rglob("*.py")}
    functions = [length for text in modules.values() for length in _function_lengths(text)]
    lines = [len(text.splitlines()) for text in modules.values() if text.strip()]
    return (
        f"{house.name}: {len(house.rooms)} rooms, {len(house.arrows)} arrows, {len(house.circles)} circles; "
        f"functions: median {statistics.median(functions):.0f} lines, longest {max(functions)}; "
        f"modules: median {statistics.median(lines):.0f} lines, longest {max(lines)}"
    )


def _function_lengths(text: str) -> list[int]:
    """Lines of each function, without its docstring."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


if __name__ == "__main__":
    main()
