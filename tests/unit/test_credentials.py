"""Credentials: the environment's first, and anything that botocore knows where that has none."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handler.aws.sdk.credentials import CredentialsSource
from handler.aws.sdk.errors import CredentialsError
from handler.aws.sdk.signing import Credentials


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_the_environment_s_as_lambda_passes_them() -> None:
    assert CredentialsSource(KEYS)() == Credentials("id", "secret", None)
    assert CredentialsSource(KEYS | {"AWS_SESSION_TOKEN": "token"})() == Credentials("id", "secret", "token")


def test_they_are_read_again_for_each_request() -> None:
    environment = dict(KEYS)
    source = CredentialsSource(environment)
    assert source().access_key == "id"
    environment["AWS_ACCESS_KEY_ID"] = "another"
    assert source().access_key == "another"


def test_half_of_them_is_an_error() -> None:
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY is not"):
        CredentialsSource({"AWS_ACCESS_KEY_ID": "id"})()


def test_a_profile_s(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[work]\naws_access_key_id = profile-id\naws_secret_access_key = profile-secret\naws_session_token = token\n"
    )
    bare.setenv("AWS_PROFILE", "work")
    assert CredentialsSource()() == Credentials("profile-id", "profile-secret", "token")


def test_those_about_to_expire_are_had_anew(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program gives credentials that are good for a minute, and counts how often it is asked."""
    program = tmp_path / "program.py"
    answer = {
        "Version": 1,
        "SecretAccessKey": "secret",
        "SessionToken": "token",
        "Expiration": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
    }
    program.write_text(
        "import json, pathlib\n"
        f"file = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "count = int(file.read_text()) + 1 if file.exists() else 1\n"
        "file.write_text(str(count))\n"
        f"print(json.dumps({{**json.loads({json.dumps(answer)!r}), 'AccessKeyId': f'id-{{count}}'}}))\n"
    )
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    source = CredentialsSource()
    first, second = source(), source()
    assert first.access_key != second.access_key
    assert (second.secret_key, second.token) == ("secret", "token")


def test_none_at_all_is_an_error_that_says_what_to_set(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"):
        CredentialsSource()()


def test_a_profile_that_is_not_there_is_an_error(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CredentialsError, match="nobody"):
        CredentialsSource()()


def test_without_botocore_only_the_environment_counts(bare: pytest.MonkeyPatch) -> None:
    bare.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(CredentialsError, match="or install botocore"):
        CredentialsSource()()
    assert CredentialsSource(KEYS)().access_key == "id"
