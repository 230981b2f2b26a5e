"""`model.json` -> the specification of a bundle: its files, and everything that determines a vector."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from handler.errors import BundleError, NoTextTowerError
from handler.frozen import frozen
from handler.images.preprocess import INTERPOLATIONS, Preprocess
from handler.model.fingerprint import DECODE_POLICY, fingerprint_of, sha256_of
from handler.model.json_fields import (
    JsonObject,
    require_choice,
    require_int,
    require_numbers,
    require_positive,
    require_positive_triple,
    require_sha256,
    require_text,
    require_triple,
)

BUNDLE_FORMAT = 3
SPEC_FILE = "model.json"

# A plain file name: a `model.json` must not refer to files outside the bundle's directory.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_TEXT_FIELDS = ("input_name", "input_dtype", "mask_name", "output_name", "context_length", "pad_id")


@frozen
class BundleFile:
    """A file of a bundle.

    Attributes:
        name: file name in the bundle's directory.
        bytes: size.
        sha256: hex; of the whole file, or for the weights of a prepared graph of a sample
            (`handler.model.bundle_files.sample_sha256`).
    """

    name: str
    bytes: int
    sha256: str


@frozen
class PreparedGraph:
    """A graph that was optimised at bake time for one kind of CPU; see `handler.model.prepared`.

    Attributes:
        name: for example `blocks-16`.
        graph: the graph without its large weights.
        weights: the large weights, memory-mapped at load; `sha256` is the hash of a sample.
        canary: a small graph, optimised in the same way, that tests the CPU; None if the graph runs on every CPU.
    """

    name: str
    graph: BundleFile
    weights: BundleFile
    canary: BundleFile | None


@frozen
class TextSpec:
    """A bundle's text tower: its files, and the format of its input.

    Attributes:
        graph: the ONNX file.
        tokenizer: the tokenizer, in the JSON format of the `tokenizers` library.
        input_name: the graph's input for token ids, (N, context_length).
        input_dtype: `int64` or `int32`.
        mask_name: the graph's input for the attention mask, 1 for tokens and 0 for padding; None without such an input.
        output_name: the graph's output, float32 (N, embedding_dim).
        context_length: number of tokens, including the start and end tokens and the padding.
        pad_id: token id of the padding.
        fingerprint: hex, hash of both files and of the fields above. Two text vectors are comparable if and only if
            this fingerprint and the model's are equal. A text vector and an image vector are comparable if and only if
            the model's fingerprints are equal.
        prepared: optimised graphs, in the order in which to try them; empty in bundles of earlier versions.
        prepared_by: the version of onnxruntime that optimised them; no other version may run them.
        canary_output: expected output of every canary, on a CPU that its graph was optimised for.
        canonical_vector: the ONNX file's vector of `handler.model.text.CANONICAL_TEXT`; empty if not known.
        byte_pairs: the tokenizer for ASCII text (`handler.model.byte_pairs`); None if it has another form.
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
    prepared: tuple[PreparedGraph, ...] = ()
    prepared_by: str = ""
    canary_output: tuple[float, ...] = ()
    canonical_vector: tuple[float, ...] = ()
    byte_pairs: BundleFile | None = None


@frozen
class TextLabelsSpec:
    """Labels with text vectors; see `handler.model.text_labels`.

    Attributes:
        names: JSON.
        vectors: NumPy's own format.
    """

    names: BundleFile
    vectors: BundleFile


@frozen
class ClassLabelsSpec:
    """The labels of a classifier, and the words that find them; see `handler.model.class_labels` and `.vocabulary`.

    Attributes:
        names: JSON.
        words: JSON.
        classes: of the labels; little-endian uint16 [pairs, 2].
        classifier: little-endian float32 [classes, embedding_dim + 1]; mapped, so the hash is that of a sample.
        temperature: what the classifier's logits are divided by.
    """

    names: BundleFile
    words: BundleFile
    classes: BundleFile
    classifier: BundleFile
    temperature: float


LabelsSpec = TextLabelsSpec | ClassLabelsSpec


@frozen
class ModelSpec:
    """The validated content of `model.json`.

    Attributes:
        name: the model's name.
        fingerprint: hex; vectors are comparable if and only if their fingerprints are equal.
        embedding_dim: length of a vector.
        input_name: the graph's input, float32 (N, 3, input_size, input_size).
        output_name: the graph's output, float32 (N, embedding_dim).
        graph: the original model, which runs on every CPU.
        prepared: optimised graphs of the model, in the order in which to try them.
        prepared_by: the version of onnxruntime that optimised them; no other version may run them.
        canary_output: expected output of every canary, on a CPU that its graph was optimised for.
        preprocess: how pixels become a tensor.
        canonical_vector: the original model's vector of the test card, not normalised.
        text: the text tower; None without one.
        labels: the labels of images; None without labels.
    """

    name: str
    fingerprint: str
    embedding_dim: int
    input_name: str
    output_name: str
    graph: BundleFile
    prepared: tuple[PreparedGraph, ...]
    prepared_by: str
    canary_output: tuple[float, ...]
    preprocess: Preprocess
    canonical_vector: tuple[float, ...]
    text: TextSpec | None
    labels: LabelsSpec | None


def load_spec(bundle: Path) -> ModelSpec:
    """Read and validate a bundle's `model.json`.

    Raises:
        BundleError: `model.json` is missing, not JSON, incomplete, of an unsupported version, or edited after baking.
    """
    path = bundle / SPEC_FILE
    try:
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"no model bundle ({path}: {error.strerror}); set MODEL_DIR to a directory written by "
            "`python -m infra bake NAME --out DIR`"
        ) from None
    except ValueError:
        raise BundleError(f"{path} is not JSON; bake the bundle again") from None
    try:
        versions = fields["format"], fields["decode_policy"]
        if versions != (BUNDLE_FORMAT, DECODE_POLICY):
            raise BundleError(
                f"unsupported bundle format and decode policy {versions} in {path}; expected "
                f"{(BUNDLE_FORMAT, DECODE_POLICY)}; bake the bundle again"
            )
        spec = _spec(fields)
        image = fingerprint_of(require_sha256(fields, "content_sha256"), spec.output_name, fields)
    except KeyError as error:
        raise BundleError(f"invalid {path}: the field {error} is missing; bake the bundle again") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"invalid {path}: {error}; bake the bundle again") from None
    if image != spec.fingerprint or (spec.text is not None and spec.text != with_fingerprint(spec.text)):
        raise BundleError(f"{path} was edited after baking: its fingerprint does not match; bake the bundle again")
    return spec


def require_text_tower(spec: ModelSpec) -> TextSpec:
    """The text tower of a model.

    Raises:
        NoTextTowerError: the model has none.
    """
    if spec.text is None:
        raise NoTextTowerError(f"the bundle of {spec.name} has no text tower; it embeds images only")
    return spec.text


def with_fingerprint(tower: TextSpec) -> TextSpec:
    """A copy of a text tower's specification with its fingerprint: a hash of what determines its vectors."""
    parts = {name: getattr(tower, name) for name in _TEXT_FIELDS}
    files = {"graph": tower.graph.sha256, "tokenizer": tower.tokenizer.sha256}
    return replace(tower, fingerprint=sha256_of(parts | files))


def _spec(fields: JsonObject) -> ModelSpec:
    dim = require_int(fields, "embedding_dim", 1)
    spec = ModelSpec(
        name=require_text(fields, "name"),
        fingerprint=require_sha256(fields, "fingerprint"),
        embedding_dim=dim,
        input_name=require_text(fields, "input_name"),
        output_name=require_text(fields, "output_name"),
        graph=_file({"name": fields["file"], "bytes": fields["bytes"], "sha256": fields["sha256"]}),
        prepared=tuple(_prepared(entry) for entry in fields["prepared"]),
        prepared_by=str(fields["prepared_by"]),
        canary_output=require_numbers(fields, "canary_output"),
        preprocess=_preprocess(fields),
        canonical_vector=require_numbers(fields, "canonical_vector", dim),
        text=_text(fields["text"], dim) if fields.get("text") else None,
        labels=_labels(fields["labels"]) if fields.get("labels") else None,
    )
    for tower in (spec, spec.text):
        if tower is not None and not tower.canary_output and any(entry.canary for entry in tower.prepared):
            raise ValueError("canary_output is empty; expected the output of the canaries")
    return spec


def _preprocess(fields: JsonObject) -> Preprocess:
    require_choice(fields, "resize_mode", ["shortest_side"])
    require_choice(fields, "crop", ["center"])
    size = require_int(fields, "input_size", 1)
    return Preprocess(
        input_size=size,
        resize_size=require_int(fields, "resize_size", size),
        resize_mode="shortest_side",
        interpolation=require_choice(fields, "interpolation", INTERPOLATIONS),
        channel_order="rgb" if require_choice(fields, "channel_order", ["rgb", "bgr"]) == "rgb" else "bgr",
        divisor=require_positive(fields, "divisor"),
        mean=require_triple(fields, "mean"),
        std=require_positive_triple(fields, "std"),
    )


def _file(fields: JsonObject) -> BundleFile:
    name = require_text(fields, "name")
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"invalid file name {name!r}; expected letters, digits, dots, hyphens and underscores")
    return BundleFile(name, require_int(fields, "bytes", 0), require_sha256(fields))


def _prepared(fields: JsonObject) -> PreparedGraph:
    canary = fields["canary"]
    return PreparedGraph(
        name=require_text(fields, "name"),
        graph=_file(fields["graph"]),
        weights=_file(fields["weights"]),
        canary=None if canary is None else _file(canary),
    )


def _text(fields: JsonObject, dim: int) -> TextSpec:
    prepared = fields.get("prepared", ())  # not in bundles of earlier versions
    return TextSpec(
        graph=_file(fields["graph"]),
        tokenizer=_file(fields["tokenizer"]),
        input_name=require_text(fields, "input_name"),
        input_dtype=require_choice(fields, "input_dtype", ["int64", "int32"]),
        mask_name=None if fields["mask_name"] is None else require_text(fields, "mask_name"),
        output_name=require_text(fields, "output_name"),
        context_length=require_int(fields, "context_length", 2),
        pad_id=require_int(fields, "pad_id", 0),
        fingerprint=require_sha256(fields, "fingerprint"),
        prepared=tuple(_prepared(entry) for entry in prepared),
        prepared_by=str(fields.get("prepared_by", "")),
        canary_output=require_numbers(fields, "canary_output") if prepared else (),
        canonical_vector=require_numbers(fields, "canonical_vector", dim) if fields.get("canonical_vector") else (),
        byte_pairs=_file(fields["byte_pairs"]) if fields.get("byte_pairs") else None,
    )


def _labels(fields: JsonObject) -> LabelsSpec:
    if "classifier" not in fields:
        return TextLabelsSpec(names=_file(fields["names"]), vectors=_file(fields["vectors"]))
    return ClassLabelsSpec(
        names=_file(fields["names"]),
        words=_file(fields["words"]),
        classes=_file(fields["classes"]),
        classifier=_file(fields["classifier"]),
        temperature=require_positive(fields, "temperature"),
    )
