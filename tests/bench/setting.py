"""What every part is told: models, pictures, how often, on which core."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.common.paths import BUILD, ROOT
from tests.bench.process import plain_environment
from tests.bench.world import offline_environment

FOLDER = BUILD / "bench"
PEERS = ROOT / ".venv-bench"


@dataclass(frozen=True)
class Setting:
    """One run of the benchmarks.

    Attributes:
        bundle: of the model that is timed.
        embedded: of the model whose vectors mean something.
        pictures: the folder of the pictures.
        runs: pairs of runs of a whole process; other counts follow it.
        core: where things are measured.
        other_core: where all else runs.
        images: of the long run.
        peers: those to compare with.
    """

    bundle: str
    embedded: str
    pictures: str
    runs: int
    core: int
    other_core: int
    images: int
    peers: tuple[str, ...]

    def picture(self, name: str) -> Path:
        """The file of a picture."""
        return Path(self.pictures) / name

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that is measured, and that calls nobody."""
        # No folder but the repository and the interpreter's own; bytecode is there already, as in an image.
        return plain_environment(
            **offline_environment(), MODEL_DIR=self.bundle, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1", **more
        )

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Setting":
        """What `to_json` wrote."""
        fields = json.loads(text)
        return cls(**(fields | {"peers": tuple(fields["peers"])}))


def medium_picture(setting: Setting) -> Path:
    """2000 x 1500."""
    return setting.picture("size-3.jpg")


def large_picture(setting: Setting) -> Path:
    """4000 x 3000."""
    return setting.picture("size-12.jpg")
