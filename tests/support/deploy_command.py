"""`python -m infra` for the local AWS: functions run from zips instead of images (see `local_registry`)."""

import importlib
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from infra.common import paths
from tests.support.local_registry import local_url

TEMPLATE_VARIABLE = "DROPVEC_TEST_TEMPLATE"
_USERS_OF_THE_TEMPLATE = ("stack", "plan", "template_body")


def adapt(patch: pytest.MonkeyPatch, template: Path) -> None:
    """Have this process deploy another template, and read the local AWS's registry."""
    patch.setattr(paths, "TEMPLATE", template)
    for name in _USERS_OF_THE_TEMPLATE:
        patch.setattr(importlib.import_module(f"infra.deploy.{name}"), "TEMPLATE", template)
    patch.setattr(importlib.import_module("infra.deploy.registry"), "download", _download)


def _download(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(local_url(os.environ["AWS_ENDPOINT_URL"], url)) as answer:
        data: bytes = answer.read()
    return data


if __name__ == "__main__":
    adapt(pytest.MonkeyPatch(), Path(os.environ[TEMPLATE_VARIABLE]))
    from infra.cli.main import main

    sys.exit(main())
