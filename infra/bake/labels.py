"""A list of labels -> their text vectors in a bundle."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handler.errors import DropvecError
from handler.model.spec import BundleFile, TextLabelsSpec
from handler.model.text import TextEncoder
from handler.model.text_labels import Vectors
from infra.common.errors import OperatorError

NAMES_FILE, VECTORS_FILE = "labels.json", "labels.npy"

# The label alone. "a photo of a {}" suits names of things, and CLIP's authors measured with it, but it makes no sense
# for "sunset on a beach" or "screenshot", so it is not the default.
DEFAULT_TEMPLATE = "{}"
PLACEHOLDER = "{}"
MAX_LABEL_LENGTH = 200


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of labels: UTF-8, one a line, in order.

    White space around a label, blank lines and repeated labels are dropped. There are no comments: `#` is a character
    of a label.

    Raises:
        OperatorError: the file cannot be read, is not UTF-8, has no label, or has a line that is too long.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise OperatorError(f"cannot read the labels in {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path} is not UTF-8 (byte {error.start}); save the labels as UTF-8, one a line") from None
    lines = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LABEL_LENGTH:
            raise OperatorError(
                f"{path}, line {number}: the label has {len(line)} characters, more than {MAX_LABEL_LENGTH}; "
                "write one label a line"
            )
    labels = tuple(dict.fromkeys(line for line in lines if line))
    if not labels:
        raise OperatorError(f"{path} has no labels; write one a line")
    return labels


def check_template(template: str) -> None:
    """Check that a template has the placeholder `{}`.

    Raises:
        OperatorError: it does not.
    """
    if PLACEHOLDER not in template:
        raise OperatorError(
            f"--label-template {template!r} has no placeholder {PLACEHOLDER} for the label; write it like "
            "'a photo of a {}'"
        )


def bake_labels(
    names: Sequence[str], encoder: TextEncoder, bundle: Path, template: str = DEFAULT_TEMPLATE
) -> TextLabelsSpec:
    """Embed labels and write them into a bundle's directory.

    Args:
        names: the labels.
        encoder: the bundle's own text encoder.
        bundle: the directory of a bundle that is being made.
        template: the text to embed, with the placeholder `{}` for the label.

    Returns:
        The files that were written, for `model.json`.

    Raises:
        OperatorError: the template has no placeholder, or a label's vector is zero.
        OSError: the directory cannot be written.
    """
    check_template(template)
    units = [_unit(encoder, name, template.replace(PLACEHOLDER, name)) for name in names]
    return _write(names, np.stack(units).astype(np.float32), template, bundle)


def _unit(encoder: TextEncoder, name: str, text: str) -> npt.NDArray[np.float64]:
    try:
        (vector,) = encoder.embed([text]).astype(np.float64)
    except DropvecError as error:
        raise OperatorError(f"the label {name!r} cannot be embedded: {error}") from None
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise OperatorError(f"the text tower gives a zero vector for the label {name!r}; remove the label")
    unit: npt.NDArray[np.float64] = vector / length
    return unit


def _write(names: Sequence[str], vectors: Vectors, template: str, bundle: Path) -> TextLabelsSpec:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, vectors, allow_pickle=False)
    text = json.dumps({"template": template, "names": names}, ensure_ascii=False, indent=1) + "\n"
    return TextLabelsSpec(
        names=_written(bundle / NAMES_FILE, text.encode("utf-8")),
        vectors=_written(bundle / VECTORS_FILE, buffer.getvalue()),
    )


def _written(path: Path, data: bytes) -> BundleFile:
    path.write_bytes(data)
    return BundleFile(path.name, len(data), hashlib.sha256(data).hexdigest())
