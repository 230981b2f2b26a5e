"""Credentials: from the environment, or else from botocore."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.errors import CredentialsError
from handler.aws.sdk.signing import Credentials


@pytest.fixture
def without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_credentials_come_from_the_environment_as_in_lambda() -> None:
    assert CredentialsProvider(KEYS)() == Credentials("id", "secret", None)
    assert CredentialsProvider(KEYS | {"AWS_SESSION_TOKEN": "token"})() == Credentials("id", "secret", "token")


def test_credentials_are_read_for_each_request() -> None:
    environment = dict(KEYS)
    source = CredentialsProvider(environment)
    assert source().access_key == "id"
    environment["AWS_ACCESS_KEY_ID"] = "another"
    assert source().access_key == "another"


def test_a_missing_secret_key_is_an_error() -> None:
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY is not"):
        CredentialsProvider({"AWS_ACCESS_KEY_ID": "id"})()


def test_credentials_come_from_a_profile(without_credentials: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[work]\naws_access_key_id = profile-id\naws_secret_access_key = profile-secret\naws_session_token = token\n"
    )
    without_credentials.setenv("AWS_PROFILE", "work")
    assert CredentialsProvider()() == Credentials("profile-id", "profile-secret", "token")


def test_credentials_are_renewed_before_they_expire(without_credentials: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program returns credentials that are valid for a minute, and counts its calls."""
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
    source = CredentialsProvider()
    first, second = source(), source()
    assert first.access_key != second.access_key
    assert (second.secret_key, second.token) == ("secret", "token")


def test_no_credentials_is_an_error_that_says_what_to_set(without_credentials: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"):
        CredentialsProvider()()


def test_an_unknown_profile_is_an_error(without_credentials: pytest.MonkeyPatch) -> None:
    without_credentials.setenv("AWS_PROFILE", "unknown")
    with pytest.raises(CredentialsError, match="unknown"):
        CredentialsProvider()()


def test_without_botocore_credentials_come_only_from_the_environment(without_credentials: pytest.MonkeyPatch) -> None:
    without_credentials.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(CredentialsError, match="or install botocore"):
        CredentialsProvider()()
    assert CredentialsProvider(KEYS)().access_key == "id"
