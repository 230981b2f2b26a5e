"""Every shell and Python example of docs/http.md, run as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from tests.end_to_end.test_search import embed
from tests.support.pictures import encoded, picture

EXAMPLES = re.findall(
    r"^```(sh|python)\n(.*?)^```$", (ROOT / "docs" / "http.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def folder(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo, for a stack with a picture."""
    made = tmp_path_factory.mktemp("examples")
    (made / "photo.jpg").write_bytes(encoded(picture(320, 240, seed=41), "JPEG"))
    embed(stack, "examples/a.png", 400)
    return made


def run(stack: Stack, folder: Path, language: str, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "API": stack.api_url or "", "TOKEN": stack.token or "", "NO_PROXY": "127.0.0.1"}
    command = ["sh", "-c", f"set -e\n{code}"] if language == "sh" else [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(("language", "code"), EXAMPLES)
def test_an_example_works_as_it_is_written(stack: Stack, folder: Path, language: str, code: str) -> None:
    done = run(stack, folder, language, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert '{"status":"error"' not in done.stdout


def test_there_are_examples_of_every_route() -> None:
    whole = "".join(code for _, code in EXAMPLES)
    for path in (
        "/jobs/clip_embedding",
        "/jobs/{",
        "/search",
        "/embeddings",
        "/uploads",
        "/items",
        "/images",
        "/thumbnails",
        "/health",
    ):
        assert path in whole or f"{path[1:]}.create" in whole
    assert {language for language, _ in EXAMPLES} == {"sh", "python"}
    assert len(EXAMPLES) >= 10
