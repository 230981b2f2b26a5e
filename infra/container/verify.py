"""Verify the image while it is built: the functions start, give the right vector and decode every format."""

import base64
import importlib
import io
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awslambdaric.__main__ as client
from PIL import Image
from pillow_heif import register_heif_opener

from handler.aws.sdk.certificates import CertificateStore
from handler.model.encoder import PORTABLE

# Modules that the function imports on demand only, so a cold start does not test them.
_LATE = (
    "handler.api.http.server",
    "handler.aws.sdk.presigning",
    "handler.aws.sdk.secretsmanager",
    "handler.images.lab",
    "handler.images.libtiff",
    "handler.model.class_labels",
    "handler.model.text",
    "handler.model.text_labels",
    "handler.model.vocabulary",
    "multipart",
    "tokenizers",
)

# One format for each decoder.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")


def main() -> None:
    """Run all checks; an exception fails the build."""
    if Path(client.__file__).is_relative_to(os.environ["LAMBDA_TASK_ROOT"]):
        raise RuntimeError("the function's packages include awslambdaric; only the base image's may be in the image")
    for module in _LATE:
        importlib.import_module(module)
    os.environ.update(RESULTS_BUCKET="none", TABLE_NAME="none", VECTOR_BUCKET="none", AWS_REGION="us-east-1")
    handler = importlib.import_module("handler.app").handler
    check_search()
    check_vector(handler)
    check_decoders(handler)
    check_certificates()
    sys.stdout.write("verified: the model's vector, every image format, and CA certificates\n")


def check_vector(handler: Callable[..., Any]) -> None:
    """Run the self-check, which compares the test card's vector with the model's."""
    found = handler({"check": True}, None)
    sys.stdout.write(f"check: {found}\n")
    if found["status"] != "ok":
        raise RuntimeError(found["error"])
    if found["graph"] == PORTABLE:
        sys.stdout.write("WARNING: no prepared graph fits this CPU and onnxruntime: cold starts are slow\n")


def check_search() -> None:
    """Start the indexer and the search function, which have other entry points, and answer a request without AWS."""
    importlib.import_module("handler.index.app").handler({"Records": []})
    answer = importlib.import_module("handler.api.app").handler({})
    if answer.get("error_code") != "invalid_request":
        raise RuntimeError(f"the search function answers an empty request with {answer}")


def check_decoders(handler: Callable[..., Any]) -> None:
    """Embed an image in each format, with a direct request."""
    register_heif_opener()
    images = [{"id": name, "data": base64.b64encode(picture(name)).decode()} for name in _FORMATS]
    answer = handler({"images": images}, None)
    failed = {file["file_path"]: file["error"] for file in answer["task_output"]["files"] if file["error"]}
    if failed:
        raise RuntimeError(f"these formats cannot be embedded: {failed}")


def picture(name: str) -> bytes:
    """An image in a format, by Pillow's name of it."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, name)
    return file.getvalue()


def check_certificates() -> None:
    """Check that there are CA certificates for connections to AWS."""
    trust = CertificateStore(os.environ)
    context, more = trust.context(), trust.load_remaining()
    folder = ssl.get_default_verify_paths().capath
    if not (more or context.get_ca_certs() or (folder and any(Path(folder).iterdir()))):
        raise RuntimeError("no CA certificates: neither the base image nor a package in it has any")


if __name__ == "__main__":
    main()
