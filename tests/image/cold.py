"""Cold starts in the container, beside those of the benchmarks: python -m tests.image.cold.

Of the container it is the emulator's own word: from its exec of the runtime until that asks for the first event. Of the
benchmarks it is their "exec to ready", as a process of this machine's Python. As the image has another Python, the same
is also taken of that, from the image's own files, with no container around it and no runtime client in it. All on the
same core, in turn.
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
from tests.bench.setting import Setting
from tests.bench.sources import EMBEDDED, STANDIN_MAKER
from tests.image.base import base_image
from tests.image.engine import EngineError, build_image, podman, release
from tests.image.function import function
from tests.image.network import network

TAG = "localhost/dropvec-test-cold:latest"
RUNS = 15
LIMIT = 1.15
MEGABYTES = 1769

# It costs the function nothing, and the emulator starts the runtime only for an event.
_EVENT = json.loads((ROOT / "events" / "s3-test-event.json").read_text("utf-8"))


@dataclass(frozen=True)
class Ready:
    """Milliseconds from exec to ready, round by round.

    Attributes:
        process: the benchmarks' own figure.
        bare: of the image's Python and files, without the container.
        container: in the container.
    """

    process: tuple[float, ...]
    bare: tuple[float, ...]
    container: tuple[float, ...]

    @property
    def ratio(self) -> Ratio:
        """The container's to the benchmarks' own."""
        return paired_ratio(self.container, self.process)

    def lines(self) -> list[str]:
        """What was found, for a person."""
        of_bare = paired_ratio(self.container, self.bare)
        return [
            f"exec to ready, benchmarks:        {median(self.process):4.0f} ms",
            f"the image's own Python, bare:     {median(self.bare):4.0f} ms",
            f"in the container:                 {median(self.container):4.0f} ms",
            f"container to benchmarks: {_told(self.ratio)}, limit {LIMIT}; to bare: {_told(of_bare)}",
        ]


def _told(ratio: Ratio) -> str:
    return f"{ratio.middle:.2f} ({ratio.low:.2f} to {ratio.high:.2f}, {ratio.pairs} pairs)"


def bundle(maker: Path = STANDIN_MAKER) -> str:
    """The S2-shaped model where what makes it is there, else the embedded one."""
    what = ("standin", str(maker)) if maker.is_file() else ("model", EMBEDDED)
    command = [sys.executable, "-m", "tests.bench.sources", *what]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def image(model: str) -> str:
    """An image with a bundle in it.

    Raises:
        EngineError: it cannot be built.
    """
    done = build_image(model, TAG, base_image())
    if done.returncode != 0:
        raise EngineError(done.stderr[-2000:])
    return TAG


def measure(model: str, tag: str, runs: int) -> Ready:
    """Start both in turn; a first round, which warms the page cache, does not count.

    Raises:
        EngineError: a container does not start.
        FailedRunError: a process fails.
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
    """The image's interpreter, by its own loader and with its own libraries, as a process of this machine."""
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
    """Print the figure; 1 when it is above the limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.image.cold", description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=RUNS, metavar="RUNS", help="pairs (default: %(default)s)")
    parser.add_argument("--model", metavar="DIR", help="a bundle (default: an S2-shaped one where it can be made)")
    parser.add_argument("--standin", type=Path, default=STANDIN_MAKER, metavar="FILE", help="what makes that")
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
