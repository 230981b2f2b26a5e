"""A list of labels -> their text vectors in a bundle."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handler.errors import DropvecError
from handler.model.labels import Vectors
from handler.model.spec import BundleFile, LabelsSpec
from handler.model.text import TextEncoder
from infra.common.errors import OperatorError

NAMES_FILE, VECTORS_FILE = "labels.json", "labels.npy"

# The label as it stands. "a photo of a {}" suits names of things and is what CLIP's authors measured with, but makes
# nonsense of "sunset on a beach" or "screenshot"; so whoever wants it says so.
DEFAULT_TEMPLATE = "{}"
PLACE = "{}"
MAX_LABEL_LENGTH = 200


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of labels: UTF-8, one a line, in order.

    White space around a label is dropped, and so are blank lines; a label that comes again counts once, where it first
    stood. Nothing is a comment: `#` begins a label as any other character does.

    Raises:
        OperatorError: the file cannot be read, is not UTF-8, has no label, or a line that is too long for one.
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
                f"{path} line {number} has {len(line)} characters, a label has {MAX_LABEL_LENGTH} at most; one a line"
            )
    labels = tuple(dict.fromkeys(line for line in lines if line))
    if not labels:
        raise OperatorError(f"{path} holds no label; write one a line")
    return labels


def check_template(template: str) -> None:
    """Look whether a template has a place for the label.

    Raises:
        OperatorError: it has none.
    """
    if PLACE not in template:
        raise OperatorError(
            f"--label-template {template!r} has no {PLACE} for the label to go, as in 'a photo of a {{}}'"
        )


def bake_labels(
    names: Sequence[str], encoder: TextEncoder, bundle: Path, template: str = DEFAULT_TEMPLATE
) -> LabelsSpec:
    """Embed labels and write them into a bundle's directory.

    Args:
        names: the labels.
        encoder: the bundle's own text encoder.
        bundle: a directory that nobody loads yet.
        template: the text to embed, with `{}` where the label goes.

    Returns:
        The files that were written, for `model.json` to vouch for.

    Raises:
        OperatorError: the template has no place for the label, or a label has no direction.
        OSError: the directory cannot be written.
    """
    check_template(template)
    units = [_unit(encoder, name, template.replace(PLACE, name)) for name in names]
    return _write(names, np.stack(units).astype(np.float32), template, bundle)


def _unit(encoder: TextEncoder, name: str, text: str) -> npt.NDArray[np.float64]:
    try:
        (vector,) = encoder.embed([text]).astype(np.float64)
    except DropvecError as error:
        raise OperatorError(f"the label {name!r} cannot be embedded: {error}") from None
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise OperatorError(f"the text tower makes a vector of zeros of the label {name!r}")
    unit: npt.NDArray[np.float64] = vector / length
    return unit


def _write(names: Sequence[str], vectors: Vectors, template: str, bundle: Path) -> LabelsSpec:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, vectors, allow_pickle=False)
    text = json.dumps({"template": template, "names": names}, ensure_ascii=False, indent=1) + "\n"
    return LabelsSpec(
        names=_written(bundle / NAMES_FILE, text.encode("utf-8")),
        vectors=_written(bundle / VECTORS_FILE, buffer.getvalue()),
    )


def _written(path: Path, data: bytes) -> BundleFile:
    path.write_bytes(data)
    return BundleFile(path.name, len(data), hashlib.sha256(data).hexdigest())
