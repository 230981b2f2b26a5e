from pathlib import Path

import pytest

from handler.errors import SettingsError
from handler.settings import HttpSettings, read_api_settings, read_settings

NEEDED = {"RESULTS_BUCKET": "results", "TABLE_NAME": "vectors"}


def test_defaults_are_the_documented_ones() -> None:
    settings = read_settings(NEEDED)
    assert settings.model_dir == Path("/opt/model")
    assert settings.results_prefix == ""
    assert settings.normalize is True
    assert settings.embedding_dtype == "float32"
    assert settings.max_image_bytes == 64 * 1024 * 1024
    assert settings.max_image_pixels == 100_000_000


@pytest.mark.parametrize(
    ("text", "value"), [("false", False), ("FALSE", False), ("0", False), ("True", True), ("", True)]
)
def test_booleans(text: str, value: bool) -> None:
    assert read_settings({**NEEDED, "NORMALIZE": text}).normalize is value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RESULTS_BUCKET", ""),
        ("TABLE_NAME", ""),
        ("NORMALIZE", "perhaps"),
        ("EMBEDDING_DTYPE", "int8"),
        ("MAX_IMAGE_BYTES", "64MB"),
        ("MAX_IMAGE_BYTES", "0"),
        ("MAX_IMAGE_PIXELS", "-1"),
        ("MAX_IMAGE_PIXELS", "٣"),
    ],
)
def test_an_invalid_setting_is_named_in_one_line(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**NEEDED, name: text})
    assert name in str(caught.value)
    assert "set it to" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_http_is_off_unless_it_is_set() -> None:
    assert read_api_settings({"TABLE_NAME": "vectors"}).http is None
    assert read_api_settings({"TABLE_NAME": "vectors", "API_ACCESS": "none"}).http is None


def test_settings_of_http() -> None:
    environment = {"TABLE_NAME": "vectors", "UPLOADS_BUCKET": "uploads", "KEY_PREFIX": "in/", "KEY_SUFFIX": ".png"}
    by_iam = read_api_settings({**environment, "API_ACCESS": "iam", "TOKEN_SECRET": ""})
    assert by_iam.http == HttpSettings("uploads", "in/", ".png", None)
    by_token = read_api_settings({**environment, "API_ACCESS": "token", "TOKEN_SECRET": "arn"})
    assert by_token.http == HttpSettings("uploads", "in/", ".png", "arn")


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"API_ACCESS": "all"}, "API_ACCESS"),
        ({"API_ACCESS": "token", "TOKEN_SECRET": "arn"}, "UPLOADS_BUCKET"),
        ({"API_ACCESS": "iam"}, "UPLOADS_BUCKET"),
        ({"API_ACCESS": "token", "UPLOADS_BUCKET": "uploads"}, "TOKEN_SECRET"),
    ],
)
def test_an_invalid_setting_of_http(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is .*; set it to"):
        read_api_settings({"TABLE_NAME": "vectors", **environment})
