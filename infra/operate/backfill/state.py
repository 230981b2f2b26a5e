"""Where a backfill stands, in a small file, so that the same command goes on after any kind of end."""

import fcntl
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.common.paths import BUILD, shown
from infra.operate.backfill.choice import Verdict
from infra.operate.backfill.objects import Place

FOLDER = BUILD / "backfill"


@dataclass
class State:
    """How far it is.

    Attributes:
        place: of the last object that is dealt with; None at the beginning.
        counts: objects by what became of them.
        sent_bytes: of the objects that were sent.
        total: of objects; None until they are counted.
    """

    place: Place | None = None
    counts: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    total: int | None = None

    @property
    def seen(self) -> int:
        """How many objects are dealt with."""
        return self.counts.total()

    @property
    def sent(self) -> int:
        """How many were sent."""
        return self.counts[Verdict.SENT]


@dataclass(frozen=True)
class StateFile:
    """The file; it is replaced as a whole, so that there is always a true one."""

    path: Path

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "StateFile":
        """The file of one task: another prefix, queue, model or choice is another task."""
        digest = hashlib.sha256(orjson.dumps(task, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return cls(FOLDER / f"{digest[:16]}.json")

    def load(self) -> State:
        """The state as it was saved; a new one when there is none, or nothing that can be read."""
        try:
            fields = orjson.loads(self.path.read_bytes())
            place = fields["place"]
            return State(
                place=(place[0], place[1]) if isinstance(place, list) else place,
                counts=Counter(fields["counts"]),
                sent_bytes=fields["sent_bytes"],
                total=fields["total"],
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return State()

    def save(self, state: State) -> None:
        """Write the state to the file."""
        fields = {
            "place": state.place,
            "counts": dict(state.counts),
            "sent_bytes": state.sent_bytes,
            "total": state.total,
        }
        with atomic_write(self.path) as file:
            file.write(orjson.dumps(fields))

    def forget(self) -> None:
        """Begin anew next time."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it against a second run of the same task; the kernel lets go of it however this process ends.

        Raises:
            OperatorError: one is running.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OperatorError(f"the same backfill is running already ({shown(self.path)} is held)") from None
            yield
