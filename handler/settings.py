"""Environment variables -> frozen settings, or a one-line error that says what to set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from handler.errors import SettingsError
from handler.frozen import frozen

EmbeddingDtype = Literal["float32", "float16"]

# Defaults.
MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_IMAGE_PIXELS = 100_000_000

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@frozen
class Settings:
    """The settings that the function reads from its environment.

    Attributes:
        model_dir: the model bundle (`MODEL_DIR`).
        results_bucket: the bucket for result JSON (`RESULTS_BUCKET`).
        table_name: the DynamoDB table (`TABLE_NAME`).
        results_prefix: prefix of every result key (`RESULTS_PREFIX`).
        normalize: whether stored vectors are scaled to length 1 (`NORMALIZE`).
        embedding_dtype: dtype of stored vectors (`EMBEDDING_DTYPE`).
        max_image_bytes: larger objects are rejected before reading (`MAX_IMAGE_BYTES`).
        max_image_pixels: larger images are rejected before decoding (`MAX_IMAGE_PIXELS`).
        metrics: whether metrics are printed for CloudWatch (`METRICS`).
    """

    model_dir: Path
    results_bucket: str
    table_name: str
    results_prefix: str
    normalize: bool
    embedding_dtype: EmbeddingDtype
    max_image_bytes: int
    max_image_pixels: int
    metrics: bool


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a setting is missing or invalid; the message names it and the expected value.
    """
    return Settings(
        model_dir=Path(environment.get("MODEL_DIR") or "/opt/model"),
        results_bucket=_required(environment, "RESULTS_BUCKET", "the bucket for result JSON"),
        table_name=_required(environment, "TABLE_NAME", "the DynamoDB table for the items"),
        results_prefix=environment.get("RESULTS_PREFIX", ""),
        normalize=_boolean(environment, "NORMALIZE", default=True),
        embedding_dtype=_dtype(environment.get("EMBEDDING_DTYPE") or "float32"),
        max_image_bytes=_positive_integer(environment, "MAX_IMAGE_BYTES", default=MAX_IMAGE_BYTES),
        max_image_pixels=_positive_integer(environment, "MAX_IMAGE_PIXELS", default=MAX_IMAGE_PIXELS),
        metrics=_boolean(environment, "METRICS", default=True),
    )


@frozen
class IndexerSettings:
    """The settings of the function that keeps the index.

    Attributes:
        vector_bucket: the S3 vector bucket of the indexes (`VECTOR_BUCKET`).
        metrics: whether metrics are printed for CloudWatch (`METRICS`).
    """

    vector_bucket: str
    metrics: bool


def read_indexer_settings(environment: Mapping[str, str]) -> IndexerSettings:
    """Read the settings of the indexer; see `read_settings`."""
    return IndexerSettings(
        vector_bucket=_required(environment, "VECTOR_BUCKET", "the S3 vector bucket of the indexes"),
        metrics=_boolean(environment, "METRICS", default=True),
    )


@frozen
class HttpSettings:
    """What the function `Api` may reach for HTTP requests, and who may send them.

    Attributes:
        uploads_bucket: the bucket of the pictures (`UPLOADS_BUCKET`).
        key_prefix: only keys with this prefix (`KEY_PREFIX`).
        key_suffix: only keys with this suffix (`KEY_SUFFIX`).
        token_secret: the secret with the token that requests must have (`TOKEN_SECRET`); None where IAM decides.
    """

    uploads_bucket: str
    key_prefix: str
    key_suffix: str
    token_secret: str | None


@frozen
class ApiSettings:
    """The settings of the function `Api`.

    Attributes:
        model_dir: the model bundle (`MODEL_DIR`).
        table_name: the DynamoDB table (`TABLE_NAME`).
        vector_bucket: the S3 vector bucket of the indexes (`VECTOR_BUCKET`); None without search.
        max_image_bytes: larger images of a query are rejected (`MAX_IMAGE_BYTES`).
        max_image_pixels: likewise, before decoding (`MAX_IMAGE_PIXELS`).
        http: None where HTTP requests are refused (`API_ACCESS` is `none`).
    """

    model_dir: Path
    table_name: str
    vector_bucket: str | None
    max_image_bytes: int
    max_image_pixels: int
    http: HttpSettings | None


def read_api_settings(environment: Mapping[str, str]) -> ApiSettings:
    """Read the settings of the function `Api`; see `read_settings`."""
    return ApiSettings(
        model_dir=Path(environment.get("MODEL_DIR") or "/opt/model"),
        table_name=_required(environment, "TABLE_NAME", "the DynamoDB table with the items"),
        vector_bucket=environment.get("VECTOR_BUCKET") or None,
        max_image_bytes=_positive_integer(environment, "MAX_IMAGE_BYTES", default=MAX_IMAGE_BYTES),
        max_image_pixels=_positive_integer(environment, "MAX_IMAGE_PIXELS", default=MAX_IMAGE_PIXELS),
        http=_http_settings(environment),
    )


def _http_settings(environment: Mapping[str, str]) -> HttpSettings | None:
    access = environment.get("API_ACCESS") or "none"
    if access == "none":
        return None
    if access not in {"iam", "token"}:
        raise SettingsError(f"API_ACCESS is {access!r}; set it to none, iam or token")
    needs_token = access == "token"
    return HttpSettings(
        uploads_bucket=_required(environment, "UPLOADS_BUCKET", "the bucket of the pictures"),
        key_prefix=environment.get("KEY_PREFIX", ""),
        key_suffix=environment.get("KEY_SUFFIX", ""),
        token_secret=_required(environment, "TOKEN_SECRET", "the secret with the token") if needs_token else None,
    )


def _required(environment: Mapping[str, str], name: str, description: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set; set it to {description}")
    return value


def _boolean(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name) or str(default)
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise SettingsError(f"{name} is {text!r}; set it to true or false") from None


def _dtype(text: str) -> EmbeddingDtype:
    if text == "float32":
        return "float32"
    if text == "float16":
        return "float16"
    raise SettingsError(f"EMBEDDING_DTYPE is {text!r}; set it to float32 or float16")


def _positive_integer(environment: Mapping[str, str], name: str, *, default: int) -> int:
    text = environment.get(name) or str(default)
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise SettingsError(f"{name} is {text!r}; set it to an integer above 0")
