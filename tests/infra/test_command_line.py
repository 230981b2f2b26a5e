"""Habits of the command line: version, suggestions, exit codes, JSON, colours, completion, and its reference page."""

import argparse
import importlib.metadata
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli import bootstrap
from infra.cli.main import main
from infra.cli.parser import EXAMPLES, make_parser
from infra.cli.reference import PAGE, reference
from infra.common.paths import ROOT

LISTS_OR_REPORTS = sorted(set(EXAMPLES) - {"completion"})


def wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err[:6]) == ("", "usage:")
    return err.splitlines()[-1]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == "dropvec 0.1.0\n"


def test_a_misspelt_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong(["demmo"], capsys).endswith("unknown command 'demmo'; did you mean demo?")
    assert wrong(["xyzzy"], capsys).endswith("unknown command 'xyzzy'")


def test_a_misspelt_option_is_reported_with_the_commands_own_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--modle=x"])
    err = capsys.readouterr().err
    assert " demo [-h] [--images DIR]" in err
    assert err.endswith("unknown argument --modle=x; did you mean --model?\n")


def test_a_misspelt_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bake", "efficientnet-lite", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.endswith("; did you mean efficientnet-lite0?\n")
    assert main(["cost", "--model", "mobileclip-s3"]) == 1
    assert "did you mean mobileclip-s2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed"],
        ["export", "mobileclip-s2", "--out", "x.onnx"],
        ["cost", "--memory", "5"],
        ["cost", "--concurrency", "0"],
    ],
)
def test_arguments_that_do_not_fit_together(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.main.ensure_packages", lambda *_: None)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.endswith(f"; see `dropvec {arguments[0]} --help`\n")


@pytest.mark.parametrize("command", LISTS_OR_REPORTS)
def test_every_command_that_reports_takes_json(command: str) -> None:
    parser = commands_of(make_parser("dropvec"))[command]
    actions = commands_of(parser) or {command: parser}
    assert [name for name, action in actions.items() if "--json" not in action.format_help()] == []
    assert f"example: dropvec {EXAMPLES[command]}" in parser.format_help()


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser."""
    groups = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    return {name: command for group in groups for name, command in group.items()}


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_example_can_be_parsed(command: str) -> None:
    assert make_parser("dropvec").parse_args(EXAMPLES[command].split())


def test_json_is_the_only_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--json", "--memory", "1769"]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert {row["memory_mb"] for row in figures["million_images"]} == {1769}
    assert all(
        row["dollars"]["total"] == pytest.approx(sum(row["dollars"].values()) / 2) for row in figures["million_images"]
    )
    assert "Cost of a million images" in err


def test_json_of_a_comparison(capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.radial_gradient("L").convert("RGB").save(tmp_path / "a.png")
    pictures = [str(tmp_path / "a.png")] * 2
    assert main(["compare", *pictures, "--model", str(tiny_bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cosine"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["python", "dropvec"])
def test_usage_has_the_name_that_was_typed(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra"]
    if name == "dropvec":
        script = tmp_path / "dropvec"
        script.write_text("from infra.__main__ import run\nrun()\n")
        command = [sys.executable, str(script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "up", "--help"], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = "dropvec" if name == "dropvec" else f"{Path(sys.executable).name} -m infra"
    assert done.stdout.startswith(f"usage: {expected} up ")
    assert f"example: {expected} up" in done.stdout


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(variables: dict[str, str], *, coloured: bool) -> None:
    script = "from rich.console import Console; Console().print('x', style='red')"
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, env=environment | {"TERM": "xterm-256color"} | variables
    ) as process:
        process.wait()
    os.close(theirs)
    assert (b"\x1b[31m" in os.read(ours, 1000)) is coloured
    os.close(ours)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("backfill", "images", "dropvec"))


def test_bash_completes_commands_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    (tmp_path / "completion.bash").write_text(capsys.readouterr().out)
    script = (
        'source "$0"; function_name=$(complete -p dropvec | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
        'COMP_WORDS=($@); COMP_CWORD=$(($#-1)); "$function_name"; printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def completed(*words: str) -> set[str]:
        command = ["bash", "-c", script, str(tmp_path / "completion.bash"), *words]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert completed("dropvec", "ba") == {"bake", "backfill"}
    assert "--images" in completed("dropvec", "demo", "--i")


def test_the_reference_is_what_the_parser_says() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run `make format`"


class Metadata:
    """Metadata of an installation, as pip, uv or pipx leave it."""

    def __init__(self, **files: str) -> None:
        self.files = files

    def read_text(self, name: str) -> str | None:
        return self.files.get(name.partition(".")[0])


@pytest.mark.parametrize(
    ("files", "marker", "expected"),
    [
        ({"direct_url": '{"url": "file:///a%20b/dropvec"}'}, "", "PYTHON -m pip install '/a b/dropvec[demo]'"),
        ({"direct_url": '{"url": "file:///d"}', "INSTALLER": "uv\n"}, "", "uv pip install --python PYTHON '/d[demo]'"),
        ({"direct_url": '{"url": "file:///d"}'}, "uv-receipt.toml", "uv tool install '/d[demo]'"),
        ({"direct_url": '{"url": "file:///d"}'}, "pipx_metadata.json", "pipx install --force '/d[demo]'"),
        (
            {"direct_url": '{"url": "https://git.test/d", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'},
            "",
            "PYTHON -m pip install 'dropvec[demo] @ git+https://git.test/d@abc'",
        ),
        (
            {"direct_url": '{"url": "https://files.test/d.whl", "archive_info": {}}'},
            "",
            "PYTHON -m pip install 'dropvec[demo] @ https://files.test/d.whl'",
        ),
        ({}, "", "PYTHON -m pip install 'dropvec[demo]==0.1.0'"),
    ],
)
def test_the_command_that_installs_an_extra(
    files: dict[str, str], marker: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Metadata(**files))
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1.0")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    if marker:
        (tmp_path / marker).touch()
    assert bootstrap.install_command(["demo"]) == expected.replace("PYTHON", sys.executable)
