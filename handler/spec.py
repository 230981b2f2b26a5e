"""`model.json` -> what a bundle is: all that decides what a vector means, and which files make it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from handler.errors import BundleError, NoTextTowerError
from handler.pixels import DECODE_POLICY
from handler.preprocess import INTERPOLATIONS, Preprocess

BUNDLE_FORMAT = 2
SPEC_FILE = "model.json"

# A file of the bundle lies in the bundle: whoever writes a `model.json` must not point elsewhere.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of a bundle.

    Attributes:
        name: in the bundle's directory.
        bytes: its size.
        sha256: hex; of a sample of the file where that is said (`handler.prepared.sample_sha256`).
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph that onnxruntime has optimised already, for one kind of CPU; see `handler.prepared`.

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
        sha256: of both files and of the fields above: two text vectors may be compared if and only if it is equal.
    """

    graph: BundleFile
    tokenizer: BundleFile
    input_name: str
    input_dtype: str
    mask_name: str | None
    output_name: str
    context_length: int
    pad_id: int
    sha256: str


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
        labels: how many labels the bundle has (`handler.labels`).
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
    labels: int


def load_spec(bundle: Path) -> ModelSpec:
    """Read and check a bundle's `model.json`.

    Raises:
        BundleError: it is absent, not JSON, incomplete, or of a version that this code does not know.
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
        return _spec(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} does not describe a model ({error!r}); bake the bundle again") from None


def require_text_tower(spec: ModelSpec) -> TextSpec:
    """The text tower of a model.

    Raises:
        NoTextTowerError: it has none.
    """
    if spec.text is None:
        raise NoTextTowerError(f"the bundle of {spec.name} has no text tower: it embeds images only")
    return spec.text


def _spec(fields: dict[str, Any]) -> ModelSpec:
    spec = ModelSpec(
        name=str(fields["name"]),
        fingerprint=str(fields["fingerprint"]),
        embedding_dim=int(fields["embedding_dim"]),
        input_name=str(fields["input_name"]),
        output_name=str(fields["output_name"]),
        graph=_file({"name": fields["file"], "bytes": fields["bytes"], "sha256": fields["sha256"]}),
        prepared=tuple(_prepared(entry) for entry in fields["prepared"]),
        prepared_by=str(fields["prepared_by"]),
        canary_output=tuple(fields["canary_output"]),
        preprocess=_preprocess(fields),
        canonical_vector=tuple(fields["canonical_vector"]),
        text=_text(fields["text"]) if fields.get("text") else None,
        labels=int(fields.get("labels", 0)),
    )
    if len(spec.canonical_vector) != spec.embedding_dim:
        raise ValueError("canonical_vector has another length than embedding_dim")
    return spec


def _preprocess(fields: dict[str, Any]) -> Preprocess:
    preprocess = Preprocess(
        input_size=int(fields["input_size"]),
        resize_size=int(fields["resize_size"]),
        resize_mode=fields["resize_mode"],
        interpolation=fields["interpolation"],
        channel_order=fields["channel_order"],
        divisor=float(fields["divisor"]),
        mean=_three(fields["mean"]),
        std=_three(fields["std"]),
    )
    if preprocess.resize_mode != "shortest_side" or preprocess.interpolation not in INTERPOLATIONS:
        raise ValueError(f"{preprocess.resize_mode}, {preprocess.interpolation}")
    if not 0 < preprocess.input_size <= preprocess.resize_size:
        raise ValueError(f"input_size {preprocess.input_size}, resize_size {preprocess.resize_size}")
    return preprocess


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _file(fields: dict[str, Any]) -> BundleFile:
    name = str(fields["name"])
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"a file named {name!r}")
    return BundleFile(name, int(fields["bytes"]), str(fields["sha256"]))


def _prepared(fields: dict[str, Any]) -> Prepared:
    canary = fields["canary"]
    return Prepared(
        name=str(fields["name"]),
        graph=_file(fields["graph"]),
        weights=_file(fields["weights"]),
        canary=None if canary is None else _file(canary),
    )


def _text(fields: dict[str, Any]) -> TextSpec:
    mask = fields["mask_name"]
    return TextSpec(
        graph=_file(fields["graph"]),
        tokenizer=_file(fields["tokenizer"]),
        input_name=str(fields["input_name"]),
        input_dtype=str(fields["input_dtype"]),
        mask_name=None if mask is None else str(mask),
        output_name=str(fields["output_name"]),
        context_length=int(fields["context_length"]),
        pad_id=int(fields["pad_id"]),
        sha256=str(fields["sha256"]),
    )
