"""Run inside the image while it is built: what the function imports is there, and makes the right vector."""

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

# Imported only where they are needed, so a cold start alone would not miss them.
_LATE = ("handler.model.labels", "handler.images.libtiff", "handler.model.text")

# One of each decoder's.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")


def main() -> None:
    """Raise, and so fail the build, when anything is not as it should be."""
    if Path(client.__file__).is_relative_to(os.environ["LAMBDA_TASK_ROOT"]):
        raise RuntimeError("the function brings a runtime client of its own; the base image's is the one that runs")
    for module in _LATE:
        importlib.import_module(module)
    os.environ.update(RESULTS_BUCKET="none", TABLE_NAME="none", AWS_REGION="us-east-1")
    handler = importlib.import_module("handler.app").handler
    check_vector(handler)
    check_decoders(handler)
    check_certificates()
    sys.stdout.write("proof: the image makes the model's vector, decodes every format, and has certificates to trust\n")


def check_vector(handler: Callable[..., Any]) -> None:
    """Compare the test card's vector with the model's."""
    found = handler({"check": True}, None)
    sys.stdout.write(f"check: {found}\n")
    if found["status"] != "ok":
        raise RuntimeError(found["error"])
    if found["graph"] == PORTABLE:
        sys.stdout.write("WARNING: no prepared graph fits this CPU and onnxruntime: a slow cold start\n")


def check_decoders(handler: Callable[..., Any]) -> None:
    """Embed a picture in each format, as a direct request."""
    register_heif_opener()
    images = [{"id": name, "data": base64.b64encode(picture(name)).decode()} for name in _FORMATS]
    answer = handler({"images": images}, None)
    failed = {file["file_path"]: file["error"] for file in answer["task_output"]["files"] if file["error"]}
    if failed:
        raise RuntimeError(f"these pictures should have been embedded: {failed}")


def picture(name: str) -> bytes:
    """A picture in a format of Pillow's."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, name)
    return file.getvalue()


def check_certificates() -> None:
    """See that there is something to trust AWS by."""
    trust = CertificateStore(os.environ)
    context, more = trust.context(), trust.load_remaining()
    folder = ssl.get_default_verify_paths().capath
    if not (more or context.get_ca_certs() or (folder and any(Path(folder).iterdir()))):
        raise RuntimeError("no certificates: the base image has none, and no package in it brings some")


if __name__ == "__main__":
    main()
