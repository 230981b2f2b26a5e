"""Start and stop the local AWS: one server on loopback, in a process group of its own."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.common.errors import OperatorError
from infra.common.local_session import ACCESS_KEY, REGION
from infra.common.paths import ROOT, shown
from infra.common.signals import uninterrupted

HOST = "127.0.0.1"


_START_SECONDS = 60.0
# Said once while a stack is made, before its numbers are mended (see infra/local/stack.py).
_HARMLESS = "ESM SQS poller error: '>='"
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True)
class LocalAws:
    """A running local AWS.

    Attributes:
        endpoint: its one URL, for every service.
        log: what it and the function print.
        pid: its process, which leads the group of all that it starts.
    """

    endpoint: str
    log: Path
    pid: int

    def check_alive(self) -> None:
        """Raise OperatorError when it has ended by itself."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT  # look, but leave the process id taken until it is stopped
        if os.waitid(os.P_PID, self.pid, options) is not None:
            raise self.failure("the local AWS ended by itself")

    def failure(self, what: str) -> OperatorError:
        """An error of one line that carries the log's last telling line, and the log's place."""
        said = last_problem(self.log)
        return OperatorError(f"{what}{f'; last problem: {said}' if said else ''}; its log: {shown(self.log)}")


@dataclass(frozen=True)
class Certificate:
    """What makes the endpoint speak TLS.

    Attributes:
        authority: PEM file that vouches for it; clients find it in AWS_CA_BUNDLE, which is for the caller to set.
        server: PEM file of a key and a certificate for 127.0.0.1.
    """

    authority: Path
    server: Path


@contextmanager
def local_aws(
    log: Path, port: int = 0, *, enforce_iam: bool = False, certificate: Certificate | None = None
) -> Iterator[LocalAws]:
    """Run a local AWS while inside; nothing of it is left outside, however this process ends.

    Args:
        log: file for its output; the folder is made, and its scratch files live next to it.
        port: where to listen on 127.0.0.1; 0 takes a free one.
        enforce_iam: check every call against its caller's policies, instead of allowing all. The template denies
            what comes without TLS, so that wants a certificate, too.
        certificate: speak TLS, with this one.

    Raises:
        OperatorError: the port is taken, or it does not start.
    """
    with _listen(port) as listener:
        log.parent.mkdir(parents=True, exist_ok=True)
        # Not in /tmp: the function's bootstrap runs from here, and /tmp is often mounted noexec.
        scratch = Path(tempfile.mkdtemp(dir=log.parent, prefix=".aws-"))
        endpoint = f"{'https' if certificate else 'http'}://{HOST}:{listener.getsockname()[1]}"
        process: subprocess.Popen[bytes] | None = None
        try:
            environment = _environment(scratch, endpoint) | {"AUTH": str(enforce_iam).lower()}
            if certificate:
                environment["AWS_CA_BUNDLE"] = str(certificate.authority)  # the function trusts it
            process = _start(listener, scratch, environment, log, certificate)
            listener.close()  # the child's copy is the only one now: no child, no answer
            aws = LocalAws(endpoint, log, process.pid)
            _await_ready(aws, certificate)
            yield aws
        finally:
            with uninterrupted():
                if process is not None:
                    _stop(process)
                _remove(scratch)


def _listen(port: int) -> socket.socket:
    """A socket bound before anything is started: a taken port shows at once, and a free one cannot be lost."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"cannot listen on {HOST}:{port} ({error.strerror}): stop what uses that port, or choose another one "
            "with --port N (make up PORT=N), or none for a free one"
        ) from None
    return listener


def _start(
    listener: socket.socket, scratch: Path, environment: dict[str, str], log: Path, certificate: Certificate | None
) -> subprocess.Popen[bytes]:
    descriptor = listener.fileno()
    secured = [str(certificate.server)] if certificate else []
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local.process", str(descriptor), str(scratch), *secured],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,  # held open as long as this process lives; see the guard
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[descriptor],
            start_new_session=True,  # a terminal's Ctrl-C is for this process to handle
        )


def _environment(scratch: Path, endpoint: str) -> dict[str, str]:
    """All that the server and the function's workers get to see: nothing of the user's AWS settings."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "STATE_DIR": str(scratch),
        "S3_DATA_DIR": str(scratch),
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "GATEWAY_PORT": endpoint.rpartition(":")[2],
        "LOG_LEVEL": "INFO",
        "AWS_ENDPOINT_URL": endpoint,  # where the function finds S3 and DynamoDB
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",  # or it would tidy up containers that are not ours
        "IOT_MTLS_ENABLED": "0",  # or it would listen on 0.0.0.0:8883
        "SFTP_ENABLED": "0",
    }


def _await_ready(aws: LocalAws, certificate: Certificate | None) -> None:
    """Ask for its health once: the socket queues the question until the server takes it."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # no proxy knows this loopback
    if certificate:
        trusting = ssl.create_default_context(cafile=certificate.authority)
        handlers.append(urllib.request.HTTPSHandler(context=trusting))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(f"{aws.endpoint}/_ministack/health", timeout=_START_SECONDS) as answer:
            answer.read()
    except OSError:
        raise aws.failure("the local AWS did not start") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _remove(folder: Path) -> None:
    """Remove a folder that a process killed just now may have been writing to."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def last_problem(log: Path) -> str:
    """The last line of a log that tells of an error, else its last line; empty when there is none."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    lines = [line for line in lines if line and _HARMLESS not in line]
    telling = [line for line in lines if "ERROR" in line or "WARNING" in line or "Error" in line]
    return (telling or lines or [""])[-1][:300]
