"""`python -m infra` in this process, for the local AWS: functions run from zips, not images (see `local_registry`)."""

import importlib
import io
import os
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from infra.cli.main import main
from infra.common import paths
from infra.common.local_session import ACCESS_KEY, REGION
from tests.support.local_registry import local_url

_USERS_OF_THE_TEMPLATE = ("stack", "plan", "template_body")


def environment(endpoint: str) -> dict[str, str]:
    """The environment of a command that calls the local AWS."""
    return os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def run(
    arguments: Sequence[str], variables: Mapping[str, str], template: Path, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command with environment variables, another template, and a text on its standard input."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        adapt(patch, variables, template)
        patch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            code = main(arguments)
        except SystemExit as usage:
            code = int(usage.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def adapt(patch: pytest.MonkeyPatch, variables: Mapping[str, str], template: Path) -> None:
    """Have this process deploy another template, and use the local AWS and its registry."""
    for name, value in variables.items():
        patch.setenv(name, value)
    patch.setattr(paths, "TEMPLATE", template)
    for name in _USERS_OF_THE_TEMPLATE:
        patch.setattr(importlib.import_module(f"infra.deploy.{name}"), "TEMPLATE", template)
    patch.setattr(importlib.import_module("infra.deploy.registry"), "download", _download)


def _download(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(local_url(os.environ["AWS_ENDPOINT_URL"], url)) as answer:
        data: bytes = answer.read()
    return data
