"""A list of labels -> their text vectors in a bundle."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handler.errors import BundleError
from handler.labels import FORMAT, NAMES_FILE, VECTORS_FILE, Labels
from handler.text import TextEncoder
from infra.errors import OperatorError

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


def bake_labels(names: Sequence[str], encoder: TextEncoder, bundle: Path, template: str = DEFAULT_TEMPLATE) -> Labels:
    """Embed labels and write them into a bundle's directory.

    Args:
        names: the labels.
        encoder: the bundle's own text encoder.
        bundle: a directory that nobody loads yet.
        template: the text to embed, with `{}` where the label goes.

    Raises:
        OperatorError: the template has no place for the label, or a label has no direction.
        OSError: the directory cannot be written.
    """
    check_template(template)
    try:
        vectors = encoder.embed([template.replace(PLACE, name) for name in names]).astype(np.float64)
    except BundleError as error:
        raise OperatorError(f"the labels cannot be embedded: {error}") from None
    lengths = np.linalg.norm(vectors, axis=1)
    for name, length in zip(names, lengths, strict=True):
        if not 0 < length < np.inf:
            raise OperatorError(f"the text tower makes a vector of length {length} of the label {name!r}")
    labels = Labels(tuple(names), (vectors / lengths[:, np.newaxis]).astype(np.float32))
    _write(labels, template, bundle)
    return labels


def _write(labels: Labels, template: str, bundle: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, labels.vectors, allow_pickle=False)
    data = buffer.getvalue()
    fields = {
        "format": FORMAT,
        "template": template,
        "sha256": hashlib.sha256(data).hexdigest(),
        "names": labels.names,
    }
    (bundle / VECTORS_FILE).write_bytes(data)
    (bundle / NAMES_FILE).write_text(json.dumps(fields, ensure_ascii=False, indent=1) + "\n", "utf-8")
