"""A worker whose AWS calls wait, each until it is ordered to pass, to crash the worker, or to lose its answer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from handler.aws.sdk.errors import NetworkError
from handler.jobs import Job
from handler.outcomes import Outcome
from handler.pipeline import Pipeline
from handler.timing import Deadline


class Crash(BaseException):
    """Ends a worker's process: the code under test must not catch it."""


class Gate:
    """Holds every AWS call of one worker until it is ordered to pass."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[str] = SimpleQueue()
        self.orders: SimpleQueue[str] = SimpleQueue()

    def pass_through(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.waiting.put("call")
        order = self.orders.get()
        if order == "crash":
            raise Crash
        answer = call(*args, **options)
        if order == "lose the answer":
            raise NetworkError("lost")
        return answer


@dataclass
class Gated:
    """A client whose every call passes a gate."""

    client: Any
    gate: Gate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        return lambda *args, **options: self.gate.pass_through(call, *args, **options)


@dataclass
class Worker:
    """One invocation for one job, in a thread that runs only between two orders.

    Attributes:
        undisturbed: whether neither another worker nor the owner did anything since it began.
        newer: the item when it began, if that was of a newer event and right.
        error: what it raised: always a defect.
    """

    job: Job
    pipeline: Pipeline
    gate: Gate
    undisturbed: bool
    newer: dict[str, Any] | None
    outcome: Outcome | None = None
    error: BaseException | None = None
    alive: bool = True
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._wait()

    def _run(self) -> None:
        try:
            self.outcome = self.pipeline.process(self.job, Deadline(3600))
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - reported by the machine
            self.error = error
        finally:
            self.gate.waiting.put("end")

    def _wait(self) -> None:
        if self.gate.waiting.get(timeout=60) == "end":
            self.thread.join()
            self.alive = False

    def order(self, order: str) -> None:
        self.gate.orders.put(order)
        self._wait()
