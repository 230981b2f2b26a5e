"""Draw the chart of a run for docs/speed.md. It needs matplotlib.

python -m tests.bench.chart RESULTS.json OUT.png
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

Axes = Any
Found = Mapping[str, Any]

_OURS, _NAIVE, _PEER = "#d9480f", "#495057", "#adb5bd"
_COLOURS = {"dropvec": _OURS, "naive": _NAIVE}
# Colours of the components of a bill.
_BILL = {
    "Lambda time": "#364fc7",
    "invocations": "#748ffc",
    "S3 PUT": "#e8590c",
    "S3 GET": "#ffc078",
    "DynamoDB": "#2b8a3e",
    "SQS": "#8ce99a",
    "logs": "#ced4da",
}


def draw(results: Found, out: Path) -> None:
    """Draw a panel for each part that the run has measured."""
    panels = [panel for panel in (_cold, _memory, _bill, _sizes, _throughput, _growth) if panel(results, None)]
    if not panels:
        return
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows), squeeze=False)
    subplots = [subplot for row in axes for subplot in row]
    for panel, subplot in zip(panels, subplots, strict=False):
        panel(results, subplot)
    for subplot in subplots[len(panels) :]:
        subplot.set_axis_off()
    machine = results["machine"]
    figure.suptitle(
        f"dropvec {results['version']} on one core of {machine['processor'].split(',')[0]}, "
        f"{results['model']}, onnxruntime {machine['onnxruntime']}, {machine['date'][:10]}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    figure.savefig(out, dpi=130, facecolor="white")


def _cold(results: Found, axes: Axes) -> bool:
    times = _times(results)
    if axes is None or not times:
        return bool(times)
    names = sorted(times, key=lambda name: times[name][1], reverse=True)
    for place, name in enumerate(names):
        ready, vector = times[name]
        colour = _COLOURS.get(name, _PEER)
        axes.barh(place, ready, color=colour)
        axes.barh(place, vector - ready, left=ready, color=colour, alpha=0.45)
        axes.text(vector, place, f" {vector:,.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("ms since exec: ready, and first embedding (lighter)")
    axes.set_title("Cold start, page cache warm", loc="left", fontweight="bold", fontsize=9.5)
    axes.margins(x=0.14)
    return True


def _times(results: Found) -> dict[str, Sequence[float]]:
    found: dict[str, Sequence[float]] = dict(results["parts"].get("peers", {}).get("raw", {}).get("cold_ms", {}))
    figures = {figure["name"]: figure for figure in results["parts"].get("cold", {}).get("figures", [])}
    if figures:
        ready, first = figures["exec to ready"], figures["exec to first embedding, 2000 x 1500 JPEG"]
        found |= {side: (ready[key], first[key]) for side, key in (("naive", "theirs"), ("dropvec", "ours"))}
    return found


def _memory(results: Found, axes: Axes) -> bool:
    figures = [
        figure
        for figure in results["parts"].get("cold", {}).get("figures", [])
        if figure["name"].startswith("peak memory")
    ]
    if axes is None or not figures:
        return bool(figures)
    for place, figure in enumerate(figures):
        for shift, key, colour in ((-0.2, "theirs", _NAIVE), (0.2, "ours", _OURS)):
            axes.bar(place + shift, figure[key], 0.38, color=colour)
            axes.text(place + shift, figure[key], f"{figure[key]:.0f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(figures)), [figure["name"].partition(", ")[2] for figure in figures])
    axes.set_ylabel("MiB")
    axes.margins(y=0.12)
    axes.set_title("Peak memory", loc="left", fontweight="bold", fontsize=9.5)
    axes.legend(handles=_handles(), frameon=False, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, fontsize=8)
    return True


def _bill(results: Found, axes: Axes) -> bool:
    grids = [grid for grid in results["parts"].get("bill", {}).get("grids", []) if grid["name"].startswith("dollars")]
    if axes is None or not grids:
        return bool(grids)
    rows, columns = grids[0]["rows"], grids[0]["columns"]
    bottoms = [0.0] * len(rows)
    spots = [place + 0.5 * (place // 2) for place in range(len(rows))]  # in pairs: naive, dropvec
    for name, colour in _BILL.items():
        values = [float(row[columns.index(name)]) for row in rows]
        axes.bar(spots, values, bottom=bottoms, color=colour, label=name, width=0.85)
        bottoms = [low + value for low, value in zip(bottoms, values, strict=True)]
    for spot, total in zip(spots, bottoms, strict=True):
        axes.text(spot, total, f"${total:.2f}", ha="center", va="bottom", fontsize=7.5)
    axes.set_xticks(spots, [row[1] for row in rows], fontsize=7)
    for spot, row in zip(spots[::2], rows[::2], strict=True):
        axes.annotate(
            row[0],
            (spot + 0.5, 0),
            (0, -24),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
        )
    axes.set_ylabel("dollars")
    axes.margins(y=0.1)
    axes.legend(frameon=False, fontsize=7, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title("A million 12 MP images", loc="left", fontweight="bold", fontsize=9.5)
    return True


def _line(part: str, title: str, number: int = 0) -> Callable[[Found, Axes], bool]:
    def panel(results: Found, axes: Axes) -> bool:
        series = results["parts"].get(part, {}).get("series", [])
        if axes is None or not series:
            return bool(series)
        found = series[number]
        for side, values in found["values"].items():
            marker = "o" if len(values) <= 12 else ""
            axes.plot(found["at"], values, color=_COLOURS[side], marker=marker, markersize=4)
            axes.annotate(
                side, (found["at"][-1], values[-1]), (0, 5), textcoords="offset points", ha="right", fontsize=8
            )
        axes.set_ylim(0, 1.15 * max(max(values) for values in found["values"].values()))
        axes.set_xlabel(found["axis"])
        axes.set_ylabel(found["unit"])
        axes.set_title(title, loc="left", fontweight="bold", fontsize=9.5)
        return True

    return panel


_sizes = _line("sizes", "Time of an image, event to item")


def _throughput(results: Found, axes: Axes) -> bool:
    series = results["parts"].get("throughput", {}).get("series", [])
    if axes is None or not series:
        return bool(series)
    (values,) = series[0]["values"].values()
    axes.bar(range(len(values)), values, 0.6, color=_OURS)
    for place, value in enumerate(values):
        axes.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(values)), [f"{place:g}" for place in series[0]["at"]])
    axes.set_xlabel(f"{series[0]['axis']}, on the same machine")
    axes.set_ylabel(series[0]["unit"])
    axes.margins(y=0.12)
    axes.set_title("Throughput on a local AWS", loc="left", fontweight="bold", fontsize=9.5)
    return True


_growth = _line("growth", "Memory of one runtime")


def _handles() -> list[Any]:
    return [plt.Rectangle((0, 0), 1, 1, color=colour, label=name) for name, colour in _COLOURS.items()]


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
