"""A model's manifest: where its weights come from, and how its pixels are prepared.

pydantic validates each value; `manifest_file` reads the TOML and checks what depends on several values.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from handler.images.preprocess import INTERPOLATIONS

_ONLY_KNOWN_KEYS = ConfigDict(extra="forbid")

Integer = Annotated[int, Strict()]
Positive = Annotated[int, Strict(), Field(gt=0)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
PositiveNumber = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]


def _check_interpolation(name: str) -> str:
    if name not in INTERPOLATIONS:
        raise ValueError(f"it should be one of {', '.join(INTERPOLATIONS)}")
    return name


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class SourceFile:
    """One file of a source.

    Attributes:
        path: inside the wheel, relative to `base`, or relative to the manifest's folder; may be a complete URL if
            `kind` is `url`.
        sha256: hex; empty if it is not pinned.
        bytes: the size; 0 if it is unknown.
    """

    path: str
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    bytes: Annotated[int, Strict(), Field(ge=0)] = 0

    @property
    def name(self) -> str:
        """The file name without folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class Source:
    """Where the files come from.

    Attributes:
        kind: `pypi` (a wheel on the package index), `url`, or `file` (in the manifest's folder).
        requirement: for `pypi`: exact pin of the package.
        base: for `url`: prefix of the files' paths.
        url: a web page about the model.
        revision: the version of the source.
    """

    kind: Literal["pypi", "url", "file"]
    requirement: str = ""
    base: str = ""
    url: str = ""
    revision: str = ""


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class Licence:
    """The weights' licence, which is copied into the bundle.

    Attributes:
        spdx: its SPDX identifier.
        file: the licence file of the source; None if the source has none.
        summary: the most important condition, in a few words.
        text: a file beside the manifest with the full text, for a source with only a notice or no licence file.
    """

    spdx: str
    file: SourceFile | None = None
    summary: str = ""
    text: str = ""


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class ImageTower:
    """The image encoder.

    Attributes:
        file: an ONNX file, or the input of `builder`.
        input: name of the input for pixels, float32 (N, 3, S, S).
        output: name of the output with vectors.
        take: `all` for an output (N, D); `first_token` for an output (N, T, D) whose first token is the vector.
        builder: `onnx`, or the name of the code that builds the graph.
        data: external data files of the ONNX file.
    """

    file: SourceFile
    input: str
    output: str
    take: Literal["all", "first_token"] = "all"
    builder: Literal["onnx", "efficientnet-lite0"] = "onnx"
    data: list[SourceFile] = Field(default_factory=list)


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class TextTower:
    """The text encoder.

    Attributes:
        file: an ONNX file.
        tokenizer: a JSON file of the `tokenizers` library.
        input: name of the input for token ids, (N, context_length).
        output: name of the output with vectors, float32 (N, D).
        context_length: number of tokens, including the start and end tokens and the padding.
        pad_id: token id of the padding.
    """

    file: SourceFile
    tokenizer: SourceFile
    input: str
    output: str
    context_length: Positive
    pad_id: Integer


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class Pixels:
    """How pixels become a tensor; see `handler.images.preprocess.Preprocess`."""

    input_size: Positive
    resize_mode: Literal["shortest_side"]
    interpolation: Annotated[str, AfterValidator(_check_interpolation)]
    crop: Literal["center"]
    channel_order: Literal["rgb", "bgr"]
    divisor: PositiveNumber
    mean: Annotated[list[Number], Field(min_length=3, max_length=3)]
    std: Annotated[list[PositiveNumber], Field(min_length=3, max_length=3)]
    resize_size: Integer = 0  # 0: the same as input_size

    @property
    def shortest(self) -> int:
        """The length of the shortest side after resizing, pixels."""
        return self.resize_size or self.input_size


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class Canonical:
    """A reference from another implementation.

    Attributes:
        reference: a JSON file beside the manifest with the test card's vector, computed by another implementation.
    """

    reference: str


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class ClassLabels:
    """The labels of the model's own classifier, which is in the file of the image encoder.

    Attributes:
        table: the words for its classes, a file beside the manifest; see `infra.bake.words.table`.
        sha256: of the table, hex.
        notice: the licence of the words, a file beside the manifest.
        temperature: what the classifier's logits are divided by.
    """

    table: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    notice: str
    temperature: PositiveNumber = 1


@dataclass(frozen=True, config=_ONLY_KNOWN_KEYS)
class Manifest:
    """A complete manifest, and the path of its file."""

    path: Path
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]  # part of paths and of result keys
    embedding_dim: Positive
    source: Source
    image: ImageTower
    licence: Licence
    preprocess: Pixels
    text: TextTower | None = None
    canonical: Canonical | None = None
    labels: ClassLabels | None = None

    @property
    def folder(self) -> Path:
        """The folder of the manifest and the files beside it."""
        return self.path.parent


def files_of(manifest: Manifest) -> list[SourceFile]:
    """Every file that a manifest names."""
    image, text = manifest.image, manifest.text
    notice = manifest.licence.file
    return [
        image.file,
        *image.data,
        *((notice,) if notice else ()),
        *((text.file, text.tokenizer) if text else ()),
    ]
