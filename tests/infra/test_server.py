import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from infra.local.outcomes import check_functions
from infra.local.package import bootstrap
from infra.local.server import LocalAws, last_problem, local_aws
from infra.local.stack import deploy, describe
from tests.support.processes import alive, eventually

# Deploys a function, starts a worker of it, prints the process group and the endpoint, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from infra.local.outcomes import check_functions
from infra.local.server import local_aws
from infra.common.signals import terminations_raised
from infra.local.stack import deploy

with terminations_raised(), local_aws(Path(sys.argv[1])) as aws:
    check_functions(aws, deploy(aws, Path(sys.argv[2])))
    print(aws.pid, aws.endpoint, flush=True)
    time.sleep(60)
"""


class Parent:
    """A process that runs a local AWS with a worker of the function."""

    def __init__(self, log: Path, bundle: Path) -> None:
        command = [sys.executable, "-c", PARENT, str(log), str(bundle)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        group, self.endpoint = self.process.stdout.readline().split()
        self.group = int(group)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def parent(tmp_path: Path, tiny_bundle: Path) -> Iterator[Parent]:
    started = Parent(tmp_path / "run" / "aws.log", tiny_bundle)
    yield started
    started.close()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def is_listening(endpoint: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port_of(endpoint))) == 0


def has_ended(aws: LocalAws) -> bool:
    try:
        aws.check_alive()
    except OperatorError:
        return True
    return False


def assert_nothing_left(group: int, endpoint: str, folder: Path) -> None:
    assert eventually(lambda: not alive(group))
    assert eventually(lambda: not is_listening(endpoint))  # its last thread may still be exiting
    assert eventually(lambda: names(folder) == ["aws.log"])


def test_only_the_log_remains_after_a_stop(tmp_path: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        aws.check_alive()
        assert alive(aws.pid) == [aws.pid]
        assert is_listening(aws.endpoint)
    assert_nothing_left(aws.pid, aws.endpoint, tmp_path)


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    proc = Path("/proc/net/tcp")
    if not proc.exists():
        pytest.skip("needs Linux's /proc")
    with local_aws(tmp_path / "aws.log") as aws:
        sockets = {os.path.realpath(path) for path in Path(f"/proc/{aws.pid}/fd").iterdir()}
        rows = [line.split() for path in (proc, proc.with_name("tcp6")) for line in path.read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and f"/proc/{aws.pid}/fd/socket:[{row[9]}]" in sockets]
    assert sorted(listening) == sorted(f"0100007F:{port_of(url):04X}" for url in (aws.endpoint, aws.api_url))


def test_nothing_remains_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), local_aws(tmp_path / "aws.log") as aws:
        _ = 1 / 0
    assert_nothing_left(aws.pid, aws.endpoint, tmp_path)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_remains_after_the_parent_is_killed(parent: Parent, tmp_path: Path, signum: signal.Signals) -> None:
    assert len(alive(parent.group)) >= 2  # the server and a worker
    parent.process.send_signal(signum)
    parent.process.communicate(timeout=20)
    assert_nothing_left(parent.group, parent.endpoint, tmp_path / "run")


def test_nothing_remains_after_many_interrupts(parent: Parent, tmp_path: Path) -> None:
    for _ in range(50):
        if parent.process.poll() is None:
            parent.process.send_signal(signal.SIGINT)
    parent.process.communicate(timeout=20)
    assert_nothing_left(parent.group, parent.endpoint, tmp_path / "run")


def test_workers_end_when_the_server_is_killed(parent: Parent) -> None:
    os.kill(parent.group, signal.SIGKILL)
    assert eventually(lambda: not alive(parent.group))


def test_an_unexpected_end_is_one_line(tmp_path: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        os.kill(aws.pid, signal.SIGKILL)
        assert eventually(lambda: has_ended(aws))
        with pytest.raises(OperatorError, match=r"^the local AWS ended unexpectedly; .*log: .*aws\.log$"):
            aws.check_alive()
    assert names(tmp_path) == ["aws.log"]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OperatorError, match=rf"127\.0\.0\.1:{port} \(.*in use\).*--port N"),
            local_aws(tmp_path / "l", port),
        ):
            pass
    assert not names(tmp_path)


def test_the_users_own_settings_do_not_reach_it(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_PROFILE": "missing",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_REGION": "eu-north-1",
        "AWS_ACCESS_KEY_ID": "another",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "LAMBDA_EXECUTOR": "docker",
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with local_aws(tmp_path / "aws.log") as aws:
        stack = deploy(aws, tiny_bundle)
        assert stack.region == "us-east-1"
        assert stack.s3.list_objects_v2(Bucket=stack.results_bucket)["KeyCount"] == 0


def test_a_stack_without_search(tmp_path: Path, tiny_bundle: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        stack = deploy(aws, tiny_bundle, parameters={"Search": "false"})
        check_functions(aws, stack)
        assert (stack.vector_bucket, stack.indexer, stack.api, stack.swapped) == (None, None, None, ("Function",))
        assert "Function runs from a zip file" in describe(stack)
        assert "S3 Vectors" not in describe(stack)
        assert "LatestStreamArn" not in stack.dynamodb.describe_table(TableName=stack.table)["Table"]
        assert Stack.from_json(stack.to_json()) == stack


def test_the_error_of_a_function_that_does_not_start_is_reported(tmp_path: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        stack = deploy(aws, tmp_path / "no-bundle")
        with pytest.raises(OperatorError, match=r"the function \S+ does not start: .*MODEL_DIR") as raised:
            check_functions(aws, stack)
    assert "\n" not in str(raised.value)


def test_a_failed_deployment_is_one_line(tmp_path: Path, tiny_bundle: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Parameters: {ImageUri: {Type: String}}\nResources:\n  Bad: {Type: AWS::S3::Bucket, Bad: 1}\n")
    with (
        local_aws(tmp_path / "aws.log") as aws,
        pytest.raises(OperatorError, match=r"template\.yaml|the stack is") as raised,
    ):
        deploy(aws, tiny_bundle, path=template)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ""),
        ("INFO a\nERROR b\nINFO c\n\n", "ERROR b"),
        ("INFO a\nINFO c\n", "INFO c"),
        ("ValueError: x\nWARNING ESM: failed\n{}", "WARNING ESM: failed"),
    ],
)
def test_last_problem_finds_the_last_error_or_warning(tmp_path: Path, log: str, expected: str) -> None:
    (tmp_path / "aws.log").write_text(log)
    assert last_problem(tmp_path / "aws.log") == expected


def test_without_a_log_there_is_no_last_problem(tmp_path: Path) -> None:
    assert not last_problem(tmp_path / "aws.log")
    failure = LocalAws("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "aws.log", 1).failure("it failed")
    assert str(failure) == f"it failed; log: {tmp_path / 'aws.log'}"


def test_the_bootstrap_replaces_its_shell_process(tmp_path: Path) -> None:
    assert bootstrap(tmp_path, "python").splitlines()[-1].startswith("exec ")
