"""Compare cold starts in the container with those of the benchmarks: python -m tests.image.cold.

Three times from exec to ready are measured in turn on the same core: `container`, as the emulator reports it, from the
exec of the runtime to the request for the first event; `process`, the benchmarks' own measurement with this machine's
Python; and, because the image has another Python, `bare`, the same measurement with the image's Python and files but
without container and runtime client.
"""

import argparse
import compileall
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from infra.common.paths import HANDLER, ROOT
from tests.bench.parts.cold import OURS, PROBE, probe
from tests.bench.process import cores, run
from tests.bench.ratios import Ratio, paired_ratio
from tests.bench.setting import EMBEDDED, STANDIN_MAKER, Setting
from tests.image.base import base_image
from tests.image.engine import EngineError, build_image, podman, release
from tests.image.function import function
from tests.image.network import network

TAG = "localhost/dropvec-test-cold:latest"
RUNS = 15
LIMIT = 1.15
MEGABYTES = 1769

# The emulator starts the runtime only for an event; the function has nothing to do for this one.
_EVENT = json.loads((ROOT / "events" / "s3-test-event.json").read_text("utf-8"))


@dataclass(frozen=True)
class Ready:
    """Milliseconds from exec to ready, for each round; see the module's docstring."""

    process: tuple[float, ...]
    bare: tuple[float, ...]
    container: tuple[float, ...]

    @property
    def ratio(self) -> Ratio:
        """The ratio of `container` to `process`."""
        return paired_ratio(self.container, self.process)

    def lines(self) -> list[str]:
        """The results as text."""
        of_bare = paired_ratio(self.container, self.bare)
        return [
            f"exec to ready, benchmarks:        {median(self.process):4.0f} ms",
            f"the image's own Python, bare:     {median(self.bare):4.0f} ms",
            f"in the container:                 {median(self.container):4.0f} ms",
            f"container to benchmarks: {_text(self.ratio)}, limit {LIMIT}; to bare: {_text(of_bare)}",
        ]


def _text(ratio: Ratio) -> str:
    return f"{ratio.middle:.2f} ({ratio.low:.2f} to {ratio.high:.2f}, {ratio.pairs} pairs)"


def bundle(maker: Path = STANDIN_MAKER) -> str:
    """The bundle of the S2-shaped model if the program that makes it exists, else of the embedded model."""
    what = ("standin", str(maker)) if maker.is_file() else ("model", EMBEDDED)
    command = [sys.executable, "-m", "tests.bench.sources", *what]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def image(model: str) -> str:
    """Build an image with a bundle; returns its tag.

    Raises:
        EngineError: the build failed.
    """
    done = build_image(model, TAG, base_image())
    if done.returncode != 0:
        raise EngineError(done.stderr[-2000:])
    return TAG


def measure(model: str, tag: str, runs: int) -> Ready:
    """Measure all three in turn; the first round, which warms the page cache, does not count.

    Raises:
        EngineError: a container did not start.
        FailedRunError: a process failed.
    """
    compileall.compile_dir(HANDLER, quiet=1)
    core, other = cores()
    setting = Setting(model, model, "", runs, core, other, images=0, peers=())
    files = Path(podman("image", "mount", tag).strip())
    try:
        rounds = [(_process(setting), _bare(setting, files), _container(setting, tag)) for _ in range(runs + 1)]
    finally:
        podman("image", "unmount", tag)
    process, bare, container = zip(*rounds[1:], strict=True)
    return Ready(process, bare, container)


def _process(setting: Setting) -> float:
    return 1000 * run(probe(OURS), setting.environment(), setting.core).marks["ready"].seconds


def _bare(setting: Setting, files: Path) -> float:
    """Run the image's interpreter as a process of this machine, with the image's loader and libraries."""
    (loader,) = {path.resolve() for path in files.glob("usr/lib*/ld-linux-*.so.*")}
    libraries = ":".join(str(folder) for folder in files.glob("usr/lib/*-linux-gnu"))
    python = [str(loader), "--library-path", libraries, str(files / "usr" / "bin" / "python3.13")]
    own = {"PYTHONHOME": str(files / "usr"), "PYTHONPATH": str(files / "var" / "task")}
    environment = setting.environment() | own | {"MODEL_DIR": str(files / "opt" / "model")}
    return 1000 * run([*python, "-P", PROBE, "handler.app"], environment, setting.core).marks["ready"].seconds


def _container(setting: Setting, tag: str) -> float:
    given = {name: value for name, value in setting.environment().items() if name.startswith("AWS_")}
    given |= {"RESULTS_BUCKET": "none", "TABLE_NAME": "none"}
    with network() as made, function(tag, made, given, MEGABYTES, f"--cpuset-cpus={setting.core}") as running:
        running.invoke(_EVENT)
        return running.init_milliseconds()


def main() -> int:
    """Print the results; the exit code is 1 if the ratio is above the limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.image.cold", description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=RUNS, metavar="RUNS", help="pairs (default: %(default)s)")
    parser.add_argument("--model", metavar="DIR", help="a bundle (default: an S2-shaped one where it can be made)")
    parser.add_argument(
        "--standin", type=Path, default=STANDIN_MAKER, metavar="FILE", help="the program that makes that model"
    )
    parsed = parser.parse_args()
    model = parsed.model or bundle(parsed.standin)
    try:
        ready = measure(model, image(model), parsed.n)
    finally:
        release()
    sys.stdout.write("\n".join([Path(model).name, *ready.lines(), ""]))
    return 1 if ready.ratio.middle > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
