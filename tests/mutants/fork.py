"""Runs of pytest in forks of one process that has every package imported."""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.mutants.mutate import Mutant

# What takes long to import, and does not import the code under test.
_PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnx",
    "PIL.Image",
    "orjson",
    "hypothesis.stateful",
    "boto3",
    "moto",
    "moto.s3.models",
)
_MORE_PACKAGES = (
    "moto.dynamodb.models",
    "moto.s3.responses",
    "moto.dynamodb.responses",
    "pydantic",
    "tokenizers",
    "xdist",
)
_PROFILE = "mutants"
_OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--hypothesis-seed=0",
    f"--hypothesis-profile={_PROFILE}",
    "-o",
    "timeout=60",
    "-o",
    "filterwarnings=",
)

# A mutant that runs longer never ends.
TIMEOUT_SECONDS = 240


def preload() -> None:
    """Import the packages once; the code under test is imported in each fork."""
    for name in (*_PACKAGES, *_MORE_PACKAGES):
        importlib.import_module(name)
    # Tracing is slow, and so is a busy machine.
    settings.register_profile(_PROFILE, deadline=None, suppress_health_check=list(HealthCheck))
    assert not any(name.partition(".")[0] == "handler" for name in sys.modules)


@dataclass
class _Running:
    mutant: Mutant
    survivors: set[str]
    deadline: float


@dataclass
class Children:
    """Forks, so many at a time.

    Attributes:
        jobs: how many.
        folder: for what the forks report.
    """

    jobs: int
    folder: Path
    _running: dict[int, _Running] = field(default_factory=dict)
    _lines: dict[str, dict[str, set[int]]] = field(default_factory=dict)

    def start(self, file: str, mutant: Mutant, tests: Sequence[str], survivors: set[str]) -> None:
        """Run tests against a mutant, when a fork is free; one that passes all is added to the survivors."""
        while len(self._running) >= self.jobs:
            self._wait_for_one()
        pid = os.fork()
        if pid == 0:
            _run_mutant(file, mutant, tests)
        self._running[pid] = _Running(mutant, survivors, time.monotonic() + TIMEOUT_SECONDS)

    def wait(self) -> None:
        """Wait for all."""
        while self._running:
            self._wait_for_one()

    def lines(self, test: str) -> dict[str, set[int]]:
        """The lines of each module of the code under test that a test executes."""
        if test not in self._lines:
            report = self.folder / "lines.json"
            pid = os.fork()
            if pid == 0:
                _run_traced(test, report)
            if os.waitpid(pid, 0)[1] != 0:
                raise RuntimeError(f"{test} fails without a mutant")
            found = json.loads(report.read_text())
            self._lines[test] = {file: set(lines) for file, lines in found.items()}
        return self._lines[test]

    def _wait_for_one(self) -> None:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                break
            for late in [pid for pid, one in self._running.items() if one.deadline < time.monotonic()]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(late, signal.SIGKILL)
            time.sleep(0.02)
        done = self._running.pop(pid)
        verdict = "survived" if status == 0 else "killed"
        sys.stdout.write(f"{verdict:8} {done.mutant.name}\n")
        sys.stdout.flush()
        if status == 0:
            done.survivors.add(done.mutant.name)


def _run_mutant(file: str, mutant: Mutant, tests: Sequence[str]) -> None:
    """In the fork."""
    os.setpgid(0, 0)
    sys.meta_path.insert(0, _Finder(file, mutant.source))
    for test in tests:  # one by one, so that a killed mutant does not even collect the slower ones
        status = _outcome([test])
        if status:
            os._exit(status)
    os._exit(0)


def _run_traced(test: str, report: Path) -> None:
    """In the fork."""
    lines: dict[str, set[int]] = {}
    root = f"{Path.cwd()}{os.sep}"

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(f"{root}handler"):
            return None
        seen = lines.setdefault(path.removeprefix(root), set())
        seen.add(frame.f_lineno)

        def local(inner: FrameType, event: str, _: Any) -> Any:
            seen.add(inner.f_lineno)
            return local

        return local

    threading.settrace(trace)
    sys.settrace(trace)
    status = _outcome([test])
    sys.settrace(None)
    report.write_text(json.dumps({file: sorted(seen) for file, seen in lines.items()}))
    os._exit(status)


def _outcome(tests: Sequence[str]) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        return int(pytest.main([*_OPTIONS, *tests]))
    except BaseException:  # noqa: BLE001 - nothing may leave the fork
        return 1


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another source."""

    def __init__(self, file: str, source: str) -> None:
        self._name = file.removesuffix(".py").replace("/", ".")
        self._path = str(Path.cwd() / file)
        self._source = source

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - importlib passes it
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self, origin=self._path) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._path, "exec"), module.__dict__)  # noqa: S102 - a mutant of our own code
