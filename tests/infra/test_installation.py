"""The installer of a checkout, with an index of tiny wheels: what it installs, what stops it, what it leaves."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.cli.package_sets import COMMAND_SETS
from infra.common.paths import ROOT
from tests.support.checkouts import Checkout, SlowIndex
from tests.support.processes import eventually

INSTALL = "infra.cli.install"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def assert_one_line(done: "subprocess.CompletedProcess[str]", said: str, code: int = 1) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert [line for line in lines if line.startswith("dropvec:")] == lines[-1:], done.stderr
    assert re.search(said, lines[-1]), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes that name a folder."""
    lines = [
        path.read_bytes().replace(b"\0", b" ").decode()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if readable(path)
    ]
    return [line for line in lines if str(folder) in line]


def readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def test_a_set_is_installed_once_and_the_environment_grows(checkout: Checkout) -> None:
    first = checkout.run(INSTALL, "demo")
    assert (first.returncode, first.stdout) == (0, "")
    assert re.match(r"Installing the packages of `demo` into \.venv \(once, about \d+ MB\) \.\.\.\n", first.stderr)
    assert checkout.packages() == {"things"}
    again = checkout.run(INSTALL, "demo")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert checkout.run(INSTALL, "test").returncode == 0
    assert checkout.packages() == {"things", "more_things"}
    assert checkout.run(INSTALL, "demo").stderr == ""


def test_other_pins_are_installed_anew(checkout: Checkout) -> None:
    checkout.run(INSTALL, "demo")
    (checkout.root / "constraints.txt").write_text("# changed\n")
    assert "Installing" in checkout.run(INSTALL, "demo").stderr


def test_a_python_that_is_gone_is_replaced(checkout: Checkout) -> None:
    checkout.run(INSTALL, "demo")
    python = checkout.venv / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert checkout.run(INSTALL, "demo").returncode == 0
    assert subprocess.run([python, "-c", "import things"], check=False).returncode == 0


def test_two_at_once(checkout: Checkout) -> None:
    both = [checkout.start(INSTALL, "demo") for _ in range(2)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    assert checkout.packages() == {"things"}


def test_no_package_index(checkout: Checkout) -> None:
    (checkout.index / "things-1.0-py3-none-any.whl").rename(checkout.index / "kept")
    said = r"could not install its packages from a Python package index; check the network.*things was not found"
    assert_one_line(checkout.run(INSTALL, "demo"), said)
    (checkout.index / "kept").rename(checkout.index / "things-1.0-py3-none-any.whl")
    assert checkout.run(INSTALL, "demo").returncode == 0


def test_no_index_for_uv_itself(checkout: Checkout) -> None:
    checkout.environment["PATH"] = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "uv").exists()
    )
    assert_one_line(checkout.run(INSTALL, "demo"), "could not install its packages from a Python package index.*uv")


def test_an_index_that_pip_is_configured_to_use(checkout: Checkout) -> None:
    del checkout.environment["PIP_NO_INDEX"], checkout.environment["PIP_FIND_LINKS"]
    with SlowIndex(checkout.index) as index:
        index.finish()
        (checkout.home / "pip.conf").write_text(f"[global]\nindex-url = {index.url}\n")
        checkout.environment["PIP_CONFIG_FILE"] = str(checkout.home / "pip.conf")
        done = checkout.run(INSTALL, "demo")
    assert done.returncode == 0, done.stderr
    assert checkout.packages() == {"things"}


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_a_download(checkout: Checkout, signum: signal.Signals, code: int) -> None:
    del checkout.environment["PIP_NO_INDEX"], checkout.environment["PIP_FIND_LINKS"]
    with SlowIndex(checkout.index) as index:
        checkout.environment["PIP_INDEX_URL"] = index.url
        process = checkout.start(INSTALL, "demo")
        assert index.asked.wait(30)
        process.send_signal(signum)
        out, err = process.communicate(timeout=20)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert_one_line(done, "dropvec: stopped", code)
        assert eventually(lambda: processes_in(checkout.root) == [])
        index.finish()
        assert checkout.run(INSTALL, "demo").returncode == 0
    assert checkout.packages() == {"things"}
    assert not (checkout.venv / ".installing").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8, 1.1])
def test_a_signal_at_any_moment(checkout: Checkout, seconds: float, signum: signal.Signals) -> None:
    process = checkout.start(INSTALL, "demo")
    time.sleep(seconds)
    process.send_signal(signum)
    _, err = process.communicate(timeout=20)
    if "<frozen site>" not in err:  # Python itself, before the first line of the program
        assert process.returncode in {0, 128 + signum, -signum}, err
        assert "Traceback" not in err, err
    assert eventually(lambda: processes_in(checkout.root) == [])
    assert checkout.run(INSTALL, "demo").returncode == 0
    assert checkout.packages() == {"things"}


def test_a_killed_installation_is_begun_anew(checkout: Checkout) -> None:
    checkout.run(INSTALL, "demo")
    (checkout.venv / ".ready-demo").unlink()
    (checkout.venv / ".installing").touch()
    broken = next(checkout.venv.glob("lib/python3*/site-packages/things.py"))
    broken.unlink()
    assert checkout.run(INSTALL, "demo").returncode == 0
    assert broken.exists()


def test_a_home_that_cannot_be_written(checkout: Checkout) -> None:
    checkout.environment["HOME"] = "/dev/null/home"
    done = checkout.run(INSTALL, "demo")
    assert done.returncode == 0, done.stderr
    assert checkout.packages() == {"things"}
    assert not (checkout.venv / ".cache").exists()


def read_only(folder: Path) -> list[str]:
    """A prefix for a command that sees a folder as read-only; root can write whatever the permissions say."""
    if not AS_ROOT:
        folder.chmod(0o555)
        return []
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(folder)]


@pytest.mark.parametrize("arguments", [[INSTALL, "demo"], ["infra", "embed", "x.jpg"], ["infra", "status"]])
def test_a_read_only_checkout(checkout: Checkout, arguments: list[str]) -> None:
    command = [*read_only(checkout.root), sys.executable, "-S", "-m", *arguments]
    done = subprocess.run(
        command, cwd=checkout.root, env=checkout.environment, capture_output=True, text=True, check=False
    )
    checkout.root.chmod(0o755)
    assert_one_line(
        done, r"cannot write .*\.venv \(.*\); copy the checkout .*, or install the command instead: pipx install"
    )


def test_a_large_set_is_installed_on_request_only(checkout: Checkout) -> None:
    done = checkout.run("infra", "export", "mobileclip-s2", "--weights", "s2.pt", "--out", "s2.onnx")
    assert_one_line(
        done, r"needs .*torch, .*, about 5\.5 GB; install the packages with: python3 -m infra\.cli\.install export"
    )


def test_help_and_wrong_usage_install_nothing(checkout: Checkout) -> None:
    assert checkout.run("infra", "--help").returncode == 0
    assert checkout.run("infra", "demo", "--help").returncode == 0
    assert checkout.run("infra", "--version").stdout == "dropvec 0.1.0\n"
    assert checkout.run("infra", "demo", "--nonsense").returncode == 2
    assert not checkout.venv.exists()


@pytest.mark.parametrize("version", [(3, 8), (3, 9), (3, 10)])
def test_a_python_that_is_too_old(checkout: Checkout, version: tuple[int, int]) -> None:
    pretend = f"import runpy, sys; sys.version_info = ({version[0]}, {version[1]}, 1, 'final', 0); "
    infra = f"{pretend} sys.argv[1:] = ['demo']; runpy.run_module('infra', run_name='__main__', alter_sys=True)"
    make = f"{pretend} sys.argv[1:] = ['demo', 'demo']; runpy.run_module('{INSTALL}', run_name='__main__')"
    for script, cure in ((infra, r"python\S* -m infra demo$"), (make, r"make demo PYTHON=\S*python3\.1\d$")):
        done = subprocess.run(
            [sys.executable, "-S", "-c", script], cwd=checkout.root, capture_output=True, text=True, check=False
        )
        assert_one_line(
            done, rf"needs Python 3\.11 or newer, but \S+ is Python {version[0]}\.{version[1]}; run: {cure}"
        )
    assert not checkout.venv.exists()


@pytest.mark.parametrize("module", ["__init__", "__main__", "cli/__init__", "cli/install", "cli/python_version"])
def test_an_old_python_can_parse_the_refusal(module: str) -> None:
    ast.parse((ROOT / "infra" / f"{module}.py").read_text("utf-8"), feature_version=(3, 8))


def test_make_installs_for_its_target(checkout: Checkout) -> None:
    make = shutil.which("make")
    assert make
    command = [make, ".venv/.ready-demo", f"PYTHON={sys.executable}"]
    environment = checkout.environment
    done = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True, check=True)
    assert "up to date" in again.stdout


def test_every_extra_is_that_of_a_set() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {name for name, packages in COMMAND_SETS.items() if packages.extras} == set(extras) - {"all"}
