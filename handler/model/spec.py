"""`model.json` -> what a bundle is: all that decides what a vector means, and which files make it."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from handler.errors import BundleError, NoTextTowerError
from handler.images.preprocess import INTERPOLATIONS, Preprocess
from handler.model.fingerprint import DECODE_POLICY, fingerprint_of, sha256_of
from handler.model.json_fields import Fields, finites, one_of, positive, sha256, three, three_positive, whole, word

BUNDLE_FORMAT = 3
SPEC_FILE = "model.json"

# A file of the bundle lies in the bundle: whoever writes a `model.json` must not point elsewhere.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of a bundle.

    Attributes:
        name: in the bundle's directory.
        bytes: its size.
        sha256: hex; of a sample of the file where that is said (`handler.model.prepared.sample_sha256`).
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph that onnxruntime has optimised already, for one kind of CPU; see `handler.model.prepared`.

    Attributes:
        name: such as `blocks-16`.
        graph: without its weights.
        weights: mapped, not read; the hash is that of a sample.
        canary: a small graph made in the same way; None where the graph suits every CPU.
    """

    name: str
    graph: BundleFile
    weights: BundleFile
    canary: BundleFile | None


@dataclass(frozen=True, slots=True)
class TextSpec:
    """How a bundle's text tower wants its tokens.

    Attributes:
        graph: the ONNX file.
        tokenizer: the `tokenizers` library's JSON.
        input_name: the graph's input, (N, context_length).
        input_dtype: `int64` or `int32`.
        mask_name: the input that takes ones for tokens and zeros for padding; None where the graph has none.
        output_name: the graph's output, float32 (N, embedding_dim).
        context_length: tokens of a text, its start and end among them.
        pad_id: what fills the rest.
        fingerprint: hex, of both files and of the fields above. Two text vectors may be compared if and only if both
            fingerprints are equal, this one and the model's; a text's and a picture's, if and only if the model's is.
    """

    graph: BundleFile
    tokenizer: BundleFile
    input_name: str
    input_dtype: str
    mask_name: str | None
    output_name: str
    context_length: int
    pad_id: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LabelsSpec:
    """A bundle's labels; see `handler.model.labels`.

    Attributes:
        names: JSON.
        vectors: NumPy's own format.
    """

    names: BundleFile
    vectors: BundleFile


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What `model.json` says, checked.

    Attributes:
        name: the model's name.
        fingerprint: hex; equal if and only if vectors may be compared.
        embedding_dim: length of a vector.
        input_name: the graph's input, float32 (N, 3, input_size, input_size).
        output_name: the graph's output, float32 (N, embedding_dim).
        graph: the model itself, which any onnxruntime on any CPU runs.
        prepared: the same, optimised; the one to try first comes first.
        prepared_by: the version of onnxruntime that made those, and alone may run them.
        canary_output: what every canary gives, on a CPU that its graph suits.
        preprocess: pixels to tensor.
        canonical_vector: what the untouched model makes of the test card, not normalised.
        text: the text tower; None where there is none.
        labels: what every picture is compared with; None where there are none.
    """

    name: str
    fingerprint: str
    embedding_dim: int
    input_name: str
    output_name: str
    graph: BundleFile
    prepared: tuple[Prepared, ...]
    prepared_by: str
    canary_output: tuple[float, ...]
    preprocess: Preprocess
    canonical_vector: tuple[float, ...]
    text: TextSpec | None
    labels: LabelsSpec | None


def load_spec(bundle: Path) -> ModelSpec:
    """Read and check a bundle's `model.json`.

    Raises:
        BundleError: it is absent, not JSON, incomplete, of a version that this code does not know, or changed since.
    """
    path = bundle / SPEC_FILE
    try:
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(
            "no model bundle: set MODEL_DIR to a directory made by `python -m infra bake NAME --out DIR` "
            f"({path}: {error.strerror})"
        ) from None
    except ValueError:
        raise BundleError(f"{path} is not JSON; bake the bundle again") from None
    try:
        versions = fields["format"], fields["decode_policy"]
        if versions != (BUNDLE_FORMAT, DECODE_POLICY):
            raise BundleError(
                f"{path} is of version {versions}, this function needs {(BUNDLE_FORMAT, DECODE_POLICY)}; bake it again"
            )
        spec = _spec(fields)
        image = fingerprint_of(sha256(fields, "content_sha256"), spec.output_name, fields)
    except KeyError as error:
        raise BundleError(f"{path} does not describe a model (it lacks {error}); bake the bundle again") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} does not describe a model ({error}); bake the bundle again") from None
    if image != spec.fingerprint or (spec.text is not None and spec.text != sealed(spec.text)):
        raise BundleError(f"{path} was changed after it was baked, and its fingerprint was not; bake the bundle again")
    return spec


def require_text_tower(spec: ModelSpec) -> TextSpec:
    """The text tower of a model.

    Raises:
        NoTextTowerError: it has none.
    """
    if spec.text is None:
        raise NoTextTowerError(f"the bundle of {spec.name} has no text tower: it embeds images only")
    return spec.text


def sealed(tower: TextSpec) -> TextSpec:
    """A text tower with the fingerprint that it must have."""
    files = {"graph": tower.graph.sha256, "tokenizer": tower.tokenizer.sha256}
    parts = asdict(tower) | files
    del parts["fingerprint"]
    return replace(tower, fingerprint=sha256_of(parts))


def _spec(fields: Fields) -> ModelSpec:
    dim = whole(fields, "embedding_dim", 1)
    spec = ModelSpec(
        name=word(fields, "name"),
        fingerprint=sha256(fields, "fingerprint"),
        embedding_dim=dim,
        input_name=word(fields, "input_name"),
        output_name=word(fields, "output_name"),
        graph=_file({"name": fields["file"], "bytes": fields["bytes"], "sha256": fields["sha256"]}),
        prepared=tuple(_prepared(entry) for entry in fields["prepared"]),
        prepared_by=str(fields["prepared_by"]),
        canary_output=finites(fields, "canary_output"),
        preprocess=_preprocess(fields),
        canonical_vector=finites(fields, "canonical_vector", dim),
        text=_text(fields["text"]) if fields.get("text") else None,
        labels=_labels(fields["labels"]) if fields.get("labels") else None,
    )
    if not spec.canary_output and any(entry.canary for entry in spec.prepared):
        raise ValueError("canary_output is empty, and there are canaries")
    return spec


def _preprocess(fields: Fields) -> Preprocess:
    one_of(fields, "resize_mode", ["shortest_side"])
    one_of(fields, "crop", ["center"])
    size = whole(fields, "input_size", 1)
    return Preprocess(
        input_size=size,
        resize_size=whole(fields, "resize_size", size),
        resize_mode="shortest_side",
        interpolation=one_of(fields, "interpolation", INTERPOLATIONS),
        channel_order="rgb" if one_of(fields, "channel_order", ["rgb", "bgr"]) == "rgb" else "bgr",
        divisor=positive(fields, "divisor"),
        mean=three(fields, "mean"),
        std=three_positive(fields, "std"),
    )


def _file(fields: Fields) -> BundleFile:
    name = word(fields, "name")
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"a file named {name!r}")
    return BundleFile(name, whole(fields, "bytes", 0), sha256(fields))


def _prepared(fields: Fields) -> Prepared:
    canary = fields["canary"]
    return Prepared(
        name=word(fields, "name"),
        graph=_file(fields["graph"]),
        weights=_file(fields["weights"]),
        canary=None if canary is None else _file(canary),
    )


def _text(fields: Fields) -> TextSpec:
    return TextSpec(
        graph=_file(fields["graph"]),
        tokenizer=_file(fields["tokenizer"]),
        input_name=word(fields, "input_name"),
        input_dtype=one_of(fields, "input_dtype", ["int64", "int32"]),
        mask_name=None if fields["mask_name"] is None else word(fields, "mask_name"),
        output_name=word(fields, "output_name"),
        context_length=whole(fields, "context_length", 2),
        pad_id=whole(fields, "pad_id", 0),
        fingerprint=sha256(fields, "fingerprint"),
    )


def _labels(fields: Fields) -> LabelsSpec:
    return LabelsSpec(names=_file(fields["names"]), vectors=_file(fields["vectors"]))
