"""Cold starts in the container, beside those of the benchmarks: python -m tests.image.cold.

Of the container it is the emulator's own word: from its exec of the runtime until that asks for the first event. Of the
benchmarks it is their "exec to ready", as a process of this machine's Python. Both on the same core, in turn.
"""

import argparse
import compileall
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import HANDLER, ROOT
from tests.bench.figures import Figure, compared
from tests.bench.parts.cold import OURS, probe
from tests.bench.process import cores, run
from tests.bench.setting import Setting
from tests.bench.sources import EMBEDDED, STANDIN_MAKER
from tests.image.base import base_image
from tests.image.engine import EngineError, build_image
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
    """Milliseconds from exec to ready, pair by pair."""

    process: tuple[float, ...]
    container: tuple[float, ...]

    @property
    def figure(self) -> Figure:
        """The container's to the process's."""
        return compared("exec to ready, in the container to outside", "ms", self.process, self.container)


def bundle() -> str:
    """The S2-shaped model where what makes it is there, else the embedded one."""
    what = ("standin", str(STANDIN_MAKER)) if STANDIN_MAKER.is_file() else ("model", EMBEDDED)
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
    pairs = [(_process(setting), _container(setting, tag)) for _ in range(runs + 1)][1:]
    return Ready(tuple(process for process, _ in pairs), tuple(container for _, container in pairs))


def _process(setting: Setting) -> float:
    return 1000 * run(probe(OURS), setting.environment(), setting.core).marks["ready"].seconds


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
    parsed = parser.parse_args()
    model = parsed.model or bundle()
    ready = measure(model, image(model), parsed.n)
    figure = ready.figure
    sys.stdout.write(
        f"{Path(model).name}: {figure.theirs:.0f} ms as a process, {figure.ours:.0f} ms in the container, "
        f"ratio {figure.ratio} (limit {LIMIT})\n"
    )
    return 1 if figure.ratio is None or figure.ratio.middle > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
