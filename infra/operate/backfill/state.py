"""Progress of a backfill in a small file, so that the same command resumes after it was stopped or killed."""

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
from infra.common.files import atomic_write, create_folder
from infra.common.paths import BUILD, shown
from infra.operate.backfill.objects import Position
from infra.operate.backfill.selection import Decision

FOLDER = BUILD / "backfill"


@dataclass
class BackfillState:
    """Progress of a backfill.

    Attributes:
        position: position of the last processed object; None at the start.
        counts: processed objects by `Decision`.
        sent_bytes: total size of the sent objects.
        total: number of objects in the source; None until they are counted.
    """

    position: Position | None = None
    counts: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    total: int | None = None

    @property
    def seen(self) -> int:
        """Number of processed objects."""
        return self.counts.total()

    @property
    def sent(self) -> int:
        """Number of sent objects."""
        return self.counts[Decision.SENT]


@dataclass(frozen=True)
class StateFile:
    """The file with the progress. It is replaced atomically, so it is always complete."""

    path: Path

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "StateFile":
        """The file of a task; a different prefix, queue, model or selection is a different task."""
        digest = hashlib.sha256(orjson.dumps(task, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return cls(FOLDER / f"{digest[:16]}.json")

    def load(self) -> BackfillState:
        """The saved state; a new one if there is no file or it cannot be parsed."""
        try:
            fields = orjson.loads(self.path.read_bytes())
            position = fields["position"]
            return BackfillState(
                position=(position[0], position[1]) if isinstance(position, list) else position,
                counts=Counter(fields["counts"]),
                sent_bytes=fields["sent_bytes"],
                total=fields["total"],
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return BackfillState()

    def save(self, state: BackfillState) -> None:
        """Write the state to the file."""
        fields = {
            "position": state.position,
            "counts": dict(state.counts),
            "sent_bytes": state.sent_bytes,
            "total": state.total,
        }
        with atomic_write(self.path) as file:
            file.write(orjson.dumps(fields))

    def delete(self) -> None:
        """Delete the file, so that the next run starts from the beginning."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the task against a second run; the kernel releases the lock however this process ends.

        Raises:
            OperatorError: another process holds the lock.
        """
        create_folder(self.path.parent)
        lock_path = self.path.with_suffix(".lock")
        with lock_path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OperatorError(
                    f"the same backfill is already running (it holds {shown(lock_path)}): wait for it, or stop it"
                ) from None
            yield
