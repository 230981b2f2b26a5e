"""The settings of a run of the benchmarks, which every part gets: models, pictures, number of runs, cores."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.common.paths import BUILD, ROOT
from tests.bench.process import plain_environment
from tests.bench.world import offline_environment

FOLDER = BUILD / "bench"
PEERS = ROOT / ".venv-bench"
SHARED = ROOT.parent / "shared"
STANDIN_MAKER = SHARED / "models" / "make_s2_standin.py"
TEXT_STANDIN_MAKER = SHARED / "models" / "make_s2_text_standin.py"
EMBEDDED = "efficientnet-lite0"


@dataclass(frozen=True)
class Setting:
    """One run of the benchmarks.

    Attributes:
        bundle: bundle of the model that is timed.
        embedded: bundle of a model with real weights, for comparisons of vectors.
        pictures: the folder of the pictures.
        runs: number of pairs of processes; other counts are derived from it.
        core: the core to measure on.
        other_core: the core for everything else.
        images: number of images of the long run.
        peers: names of the alternatives to compare with.
        text: bundle with the S2-shaped text tower; empty if it cannot be made.
    """

    bundle: str
    embedded: str
    pictures: str
    runs: int
    core: int
    other_core: int
    images: int
    peers: tuple[str, ...]
    text: str = ""

    def picture(self, name: str) -> Path:
        """The file of a picture."""
        return Path(self.pictures) / name

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a measured process that makes no AWS calls."""
        # Modules come from the repository and the interpreter only; bytecode is already there, as in the image.
        return plain_environment(
            **offline_environment(), MODEL_DIR=self.bundle, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1", **more
        )

    def to_json(self) -> str:
        """The setting as JSON, for `from_json` in another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Setting":
        """Read the JSON of `to_json`."""
        fields = json.loads(text)
        return cls(**(fields | {"peers": tuple(fields["peers"])}))


def medium_picture(setting: Setting) -> Path:
    """A JPEG of 2000 x 1500 pixels."""
    return setting.picture("size-3.jpg")


def large_picture(setting: Setting) -> Path:
    """A JPEG of 4000 x 3000 pixels."""
    return setting.picture("size-12.jpg")
