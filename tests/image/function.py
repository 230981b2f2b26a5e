"""Run the function's container with Lambda's runtime interface emulator, as isolated as in Lambda."""

import http.client
import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.image.engine import podman
from tests.image.network import HOST, Network

_PORT = 8080
_INVOKE = "/2015-03-31/functions/function/invocations"
_START_SECONDS, _ANSWER_SECONDS = 20.0, 60.0


@dataclass(frozen=True)
class Function:
    """A running container.

    Attributes:
        name: its name in podman.
        network: the network that it runs in.
    """

    name: str
    network: Network

    def invoke(self, event: object) -> Any:
        """Invoke the function with an event; returns its response.

        Raises:
            OSError: the emulator did not respond.
        """
        connection = http.client.HTTPConnection(HOST, _PORT)
        connection.sock = self.network.connect(_PORT, _ANSWER_SECONDS)
        try:
            connection.request("POST", _INVOKE, json.dumps(event))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def python(self, program: str) -> str:
        """Run a Python program in the container with the function's user; returns its output."""
        return podman("exec", self.name, "/var/lang/bin/python3", "-c", program).strip()

    def log(self) -> str:
        """The output of the emulator and the function."""
        return podman("logs", self.name, errors=subprocess.STDOUT)

    def limit(self) -> int:
        """The container's memory limit, bytes."""
        group = podman("inspect", self.name, "--format", "{{.State.CgroupPath}}").strip().lstrip("/")
        for path in (f"memory/{group}/memory.limit_in_bytes", f"{group}/memory.max"):
            file = Path("/sys/fs/cgroup") / path
            if file.is_file():
                return int(file.read_text("ascii"))
        raise FileNotFoundError(f"no memory limit of {group}")

    def was_killed(self) -> bool:
        """Whether the container was killed because it exceeded its memory limit."""
        return podman("inspect", self.name, "--format", "{{.State.OOMKilled}}").strip() != "false"

    def init_milliseconds(self) -> float:
        """The emulator's measurement of the time from the runtime's exec to its request for the first event."""
        (found,) = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.log())
        return float(found)


@contextmanager
def function(
    image: str, network: Network, environment: Mapping[str, str], megabytes: int, *more: str
) -> Iterator[Function]:
    """Run an image within the block, with a read-only root, a writable /tmp, no privileges and limited memory.

    Args:
        image: the image's name.
        network: the only network that it can access.
        environment: the function's environment variables.
        megabytes: the memory limit in MB of 2**20 bytes, as in Lambda.
        more: further options of podman.

    Raises:
        EngineError: the container did not start.
        TimeoutError: the emulator did not start.
    """
    name = f"dropvec-{uuid.uuid4().hex[:12]}"
    size = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(megabytes), "AWS_LAMBDA_FUNCTION_TIMEOUT": "60"}
    given = [f"--env={key}={value}" for key, value in {**environment, **size}.items()]
    closed = ["--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777"]
    closed += ["--cap-drop=all", "--security-opt=no-new-privileges", f"--network=ns:{network.path}"]
    memory = [f"--memory={megabytes}m", f"--memory-swap={megabytes}m"]
    podman("run", "--detach", f"--name={name}", *closed, *memory, *given, *more, image)
    try:
        _await(network)
        yield Function(name, network)
    finally:
        podman("rm", "--force", "--time=0", name)


def _await(network: Network) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            network.connect(_PORT, 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the emulator did not listen on port {_PORT} in {_START_SECONDS:.0f} s") from None
            time.sleep(0.02)
        else:
            return
