"""The benchmarks: dropvec compared with the way of tutorials ("naive"), and with alternatives ("peers").

python -m tests.bench [PART ...] [--quick] [-n RUNS] [--model NAME|DIR] [--publish]
"""

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.cli.parser import version
from infra.common.errors import OperatorError
from infra.common.paths import HANDLER, ROOT
from infra.operate import measured
from tests.bench import report
from tests.bench.figures import Findings
from tests.bench.machine import described, load
from tests.bench.parts import cold, peers, search, text, throughput, unused
from tests.bench.peers import NAMES, install
from tests.bench.process import FailedRunError, cores, python
from tests.bench.setting import EMBEDDED, FOLDER, PEERS, STANDIN_MAKER, TEXT_STANDIN_MAKER, Setting
from tests.bench.world import World, world

CHART, PAGE = ROOT / "docs" / "bench.png", ROOT / "docs" / "speed.md"

# The lines around the tables on that page.
BEGIN, END = "<!-- as printed by make bench -->\n", "<!-- end -->\n"

RUNS, QUICK_RUNS = 12, 3
IMAGES, QUICK_IMAGES = 20_000, 1_000


@dataclass(frozen=True)
class Warm:
    """A part that measures inside a warm process.

    Attributes:
        module: its module in `tests.bench.parts`.
        endpoint: the endpoint of `World` that it calls; empty for a part that calls none.
        tiny: whether it uses the tiny model, whose inference takes almost no time.
    """

    module: str
    endpoint: str = ""
    tiny: bool = False


PARTS: Mapping[str, Callable[[Setting], Findings] | Warm] = {
    "cold": cold.measure,
    "cold-disk": cold.measure_from_disk,
    "text": text.measure,
    "unused": unused.measure,
    "search": search.measure,
    "decode": Warm("decode"),
    "inference": Warm("inference"),
    "overhead": Warm("overhead", "near"),
    "batch": Warm("batch", "far"),
    "batch-near": Warm("batch", "near"),
    "bill": Warm("bill", "far"),
    "images": Warm("images", "far"),
    "sizes": Warm("sizes", "near"),
    "throughput": throughput.measure,
    "growth": Warm("growth", "sink", tiny=True),
    "peers": peers.measure,
}


def main() -> int:
    """Run the parts, print their tables, and write results, tables and chart; the exit code is 1 if a part failed."""
    parser = _parser()
    parsed = parser.parse_args()
    if parsed.publish and (parsed.parts or parsed.quick or parsed.model):
        parser.error("--publish needs a complete run, without PART, --quick and --model")
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    FOLDER.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    setting = _setting(parsed, console)
    parts: dict[str, Any] = {}
    for name in parsed.parts or PARTS:
        started = time.monotonic()
        parts[name] = _tried(name, setting)
        console.print(f"{name}: {time.monotonic() - started:.0f} s, load {load():.1f}")
    machine = described()
    results = {
        "version": version(),
        "model": Path(setting.bundle).name,
        "machine": machine,
        "setting": asdict(setting),
        "seconds": time.monotonic() - begun,
        "parts": parts,
    }
    report.show(console, results)
    errors = [part["error"] for part in parts.values() if part["error"]]
    _write(results, publish=parsed.publish and not errors)
    console.print(
        f"{results['seconds']:.0f} s in total; see results.json, table.md, chart.png, measured.toml in {FOLDER}"
    )
    return 1 if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few runs; the figures are noisy")
    parser.add_argument("-n", type=int, default=0, metavar="RUNS", help=f"pairs of processes (default: {RUNS})")
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME|DIR",
        help="the model to time (default: an S2-shaped one if it can be made)",
    )
    parser.add_argument(
        "--standin",
        type=Path,
        default=STANDIN_MAKER,
        metavar="FILE",
        help="the program that writes the S2-shaped model",
    )
    parser.add_argument(
        "--peers", default=",".join(NAMES), help="the alternatives to compare with (default: %(default)s)"
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="put the tables and the chart into docs/, and the figures into infra/operate/",
    )
    return parser


def _setting(parsed: argparse.Namespace, console: Console) -> Setting:
    """Make the models and pictures; prints which model is timed."""
    embedded = _made("model", EMBEDDED)
    if not parsed.model and parsed.standin.is_file():
        bundle = _made("standin", str(parsed.standin))
        console.print("Model: the architecture of MobileCLIP-S2's image tower, with random weights.")
    else:
        bundle = _made("model", parsed.model or EMBEDDED)
        console.print(f"Model: {Path(bundle).name}; the S2-shaped one cannot be made: {parsed.standin} does not exist.")
    pictures = FOLDER / "pictures"
    _made("pictures", str(pictures))
    for folder in (HANDLER, ROOT / "tests" / "bench"):
        compileall.compile_dir(folder, quiet=1)
    core, other = cores()
    return Setting(
        bundle=bundle,
        text=_made("text", str(TEXT_STANDIN_MAKER)) if TEXT_STANDIN_MAKER.is_file() else "",
        embedded=embedded,
        pictures=str(pictures),
        runs=parsed.n or (QUICK_RUNS if parsed.quick else RUNS),
        core=core,
        other_core=other,
        images=QUICK_IMAGES if parsed.quick else IMAGES,
        peers=tuple(name for name in parsed.peers.split(",") if name),
    )


def _made(what: str, argument: str) -> str:
    """Run `tests.bench.sources`; returns its last line, the path of what it made."""
    command = [python(), "-m", "tests.bench.sources", what, argument]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return (done.stdout.splitlines() or [""])[-1]


def _tried(name: str, setting: Setting) -> dict[str, Any]:
    """Run a part; if it fails, its notes say why, and the other parts still run."""
    try:
        return {**_run(name, setting), "error": ""}
    except (OperatorError, FailedRunError, OSError, ValueError, AssertionError, subprocess.CalledProcessError) as error:
        error_text = f"FAILED: {type(error).__name__}: {error}"[:300]
        return {**Findings(notes=[error_text]).fields(), "error": error_text}


def _run(name: str, setting: Setting) -> dict[str, Any]:
    part = PARTS[name]
    if not isinstance(part, Warm):
        return part(setting).fields()
    if not part.endpoint:
        return _warm(part, setting, World("", "", "", ""), setting.environment())
    with world(FOLDER / name, setting.other_core) as aws:
        environment = setting.environment() | aws.environment(getattr(aws, part.endpoint))
        if part.tiny:
            environment["MODEL_DIR"] = _made("tiny", str(FOLDER / "models" / "tiny"))
        return _warm(part, setting, aws, environment)


def _warm(part: Warm, setting: Setting, aws: World, environment: Mapping[str, str]) -> dict[str, Any]:
    out = FOLDER / "part.json"
    arguments = [part.module, setting.to_json(), json.dumps(asdict(aws)), str(out)]
    subprocess.run([python(), "-m", "tests.bench.worker", *arguments], cwd=ROOT, env=dict(environment), check=True)
    found: dict[str, Any] = json.loads(out.read_bytes())
    out.unlink()
    return found


def _write(results: Mapping[str, Any], *, publish: bool) -> None:
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1), "utf-8")
    (FOLDER / "table.md").write_text(report.markdown(results), "utf-8")
    figures = FOLDER / measured.FILE.name
    if results["parts"].get("images", {}).get("raw"):
        figures.write_text(measured.to_toml(with_images(results)), "utf-8")
    install(())
    chart = FOLDER / "chart.png"
    chart.unlink(missing_ok=True)
    command: Sequence[str] = [python(PEERS), "-m", "tests.bench.chart", str(FOLDER / "results.json"), str(chart)]
    drawn = subprocess.run(command, cwd=ROOT, check=False, env=os.environ | {"MPLCONFIGDIR": str(FOLDER)})
    if publish and drawn.returncode == 0 and chart.is_file():
        shutil.copyfile(chart, CHART)
        shutil.copyfile(figures, measured.FILE)
        PAGE.write_text(with_tables(PAGE.read_text("utf-8"), report.published(results)), "utf-8")


def with_tables(page: str, tables: str) -> str:
    """A page with other tables between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}{tables}{end}{after}"


def with_images(results: Mapping[str, Any]) -> measured.Measured:
    """The figures that `python -m infra cost` reads, with those of this run's model replaced."""
    found, machine = results["parts"]["images"]["raw"], results["machine"]
    model = "" if found["model"] == results["model"] else f" on {results['model']} (the same architecture)"
    figures = measured.ModelFigures(
        name=found["model"],
        date=machine["date"].split()[0],
        source=f"make bench{model} on {machine['processor'].split(',')[0]} ({machine['flags']})",
        images=tuple(measured.ImageFigures(**image) for image in found["images"]),
        units=found["units"],
        item_bytes=found["item_bytes"],
        result_bytes=found["result_bytes"],
    )
    return {**measured.load(), figures.name: figures}


if __name__ == "__main__":
    sys.exit(main())
