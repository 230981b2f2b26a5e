"""Start and stop the local AWS: one server on loopback, in its own process group."""

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
from infra.common.files import create_folder
from infra.common.local_session import ACCESS_KEY, REGION
from infra.common.paths import ROOT, shown
from infra.common.signals import uninterrupted

HOST = "127.0.0.1"

_START_SECONDS = 60.0
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True)
class LocalAws:
    """A running local AWS.

    Attributes:
        endpoint: URL of every service.
        api_url: URL of the stack's HTTP API, if it has one.
        log: output of the server and the function.
        pid: the server process, which leads the process group of everything that it starts.
    """

    endpoint: str
    api_url: str
    log: Path
    pid: int

    def check_alive(self) -> None:
        """Raise OperatorError if the server has ended unexpectedly."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT  # do not reap the process, so that its id stays reserved
        if os.waitid(os.P_PID, self.pid, options) is not None:
            raise self.failure("the local AWS ended unexpectedly")

    def failure(self, message: str) -> OperatorError:
        """An error of one line with the last error in the log and the log's path."""
        problem = last_problem(self.log)
        return OperatorError(f"{message}{f'; last error: {problem}' if problem else ''}; log: {shown(self.log)}")


@dataclass(frozen=True)
class Certificate:
    """A TLS certificate for the endpoint.

    Attributes:
        authority: PEM file of the certificate authority; the caller sets AWS_CA_BUNDLE to it for clients.
        server: PEM file of a key and a certificate for 127.0.0.1.
    """

    authority: Path
    server: Path


@contextmanager
def local_aws(
    log: Path,
    port: int = 0,
    api_port: int = 0,
    *,
    enforce_iam: bool = False,
    certificate: Certificate | None = None,
) -> Iterator[LocalAws]:
    """Run a local AWS for the duration of the block. No process or scratch file remains, however this process ends.

    Args:
        log: file for its output. Its folder is created if needed, and also contains the scratch files.
        port: port on 127.0.0.1; 0 for a free one.
        api_port: likewise, of the stack's HTTP API.
        enforce_iam: check every call against the caller's policies instead of allowing all calls. The template denies
            calls without TLS, so this needs a certificate.
        certificate: serve TLS with this certificate; the HTTP API stays without.

    Raises:
        OperatorError: a port is in use, or the server does not start.
    """
    with _listen(port, "--port") as listener, _listen(api_port, "--api-port") as api_listener:
        create_folder(log.parent)
        # Not in /tmp, which is often mounted noexec: the function's bootstrap runs from here.
        scratch = Path(tempfile.mkdtemp(dir=log.parent, prefix=".aws-"))
        endpoint = f"{'https' if certificate else 'http'}://{HOST}:{listener.getsockname()[1]}"
        api_url = f"http://{HOST}:{api_listener.getsockname()[1]}"
        process: subprocess.Popen[bytes] | None = None
        try:
            environment = _environment(scratch, endpoint) | {"AUTH": str(enforce_iam).lower()}
            if certificate:
                environment["AWS_CA_BUNDLE"] = str(certificate.authority)  # for the function
            process = _start((listener, api_listener), scratch, environment, log, certificate)
            for each in (listener, api_listener):
                each.close()  # only the child has the socket now: if the child ends, connections are refused
            aws = LocalAws(endpoint, api_url, log, process.pid)
            _await_ready(aws, certificate)
            yield aws
        finally:
            with uninterrupted():
                if process is not None:
                    _stop(process)
                _remove(scratch)


def _listen(port: int, option: str) -> socket.socket:
    """Bind the socket before anything starts: a port in use is found at once, and a free port stays reserved."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"cannot listen on {HOST}:{port} ({error.strerror}): stop the program that uses the port, choose another "
            f"port with {option} N, or omit it for a free port"
        ) from None
    return listener


def _start(
    listeners: tuple[socket.socket, socket.socket],
    scratch: Path,
    environment: dict[str, str],
    log: Path,
    certificate: Certificate | None,
) -> subprocess.Popen[bytes]:
    descriptors = [listener.fileno() for listener in listeners]
    secured = [str(certificate.server)] if certificate else []
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local.process", *map(str, descriptors), str(scratch), *secured],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,  # stays open while this process lives; see infra/local/process.py
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
            start_new_session=True,  # so that Ctrl-C reaches this process only
        )


def _environment(scratch: Path, endpoint: str) -> dict[str, str]:
    """The environment of the server and the function's workers, without the user's AWS settings."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
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
        "AWS_ENDPOINT_URL": endpoint,  # the function's endpoint for S3 and DynamoDB
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",  # prevents it from removing containers of other programs
        "IOT_MTLS_ENABLED": "0",  # prevents it from listening on 0.0.0.0:8883
        "SFTP_ENABLED": "0",
    }


def _await_ready(aws: LocalAws, certificate: Certificate | None) -> None:
    """Send one health request: the listening socket queues it until the server accepts connections."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # loopback needs no proxy
    if certificate:
        context = ssl.create_default_context(cafile=certificate.authority)
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(f"{aws.endpoint}/_ministack/health", timeout=_START_SECONDS) as answer:
            answer.read()
    except OSError:
        raise aws.failure("the local AWS did not start") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS raises EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _remove(folder: Path) -> None:
    """Delete a folder, with retries, because processes that were just killed may still write to it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def last_problem(log: Path) -> str:
    """The last error or warning in a log, else its last line; empty if there is none."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    lines = [line for line in lines if line]
    problems = [line for line in lines if "ERROR" in line or "WARNING" in line or "Error" in line]
    return (problems or lines or [""])[-1][:300]
