"""A model's manifest: where its weights come from and how it wants its pixels. `manifest_file` reads it from TOML."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        path: inside the wheel, below `base`, or below the manifest's folder; or a whole URL, where `kind` is `url`.
        sha256: hex; empty where nobody could check it yet.
        bytes: its size; 0 where that is not known.
    """

    path: str
    sha256: str = ""
    bytes: int = 0

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Source:
    """Where the files come from.

    Attributes:
        kind: `pypi` (a wheel on the package index), `url`, or `file` (below the manifest's folder).
        requirement: of `pypi`: exact pin of the package.
        base: of `url`: what the files' paths are put behind.
        url: where people read about it.
        revision: which state of it.
    """

    kind: str
    requirement: str = ""
    base: str = ""
    url: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Licence:
    """The weights' licence, which goes along into the bundle.

    Attributes:
        spdx: its SPDX identifier.
        file: as it comes with the weights; None where it does not.
        summary: in a few words, what a user must know before anything else.
        text: the licence's full text beside the manifest, for a source that holds a mere notice, or none at all.
    """

    spdx: str
    file: SourceFile | None = None
    summary: str = ""
    text: str = ""


@dataclass(frozen=True)
class ImageTower:
    """The image encoder.

    Attributes:
        file: an ONNX file, or what `builder` makes one from.
        input: the tensor that takes pixels, float32 (N, 3, S, S).
        output: the tensor that gives vectors.
        take: `all` where the output is (N, D), `first_token` where it is (N, T, D) and the vector is its first row.
        builder: `onnx`, or the name of what builds the graph.
        data: files of weights that the ONNX file refers to.
    """

    file: SourceFile
    input: str
    output: str
    take: str = "all"
    builder: str = "onnx"
    data: list[SourceFile] = field(default_factory=list)


@dataclass(frozen=True)
class TextTower:
    """The text encoder.

    Attributes:
        file: an ONNX file.
        tokenizer: the `tokenizers` library's JSON.
        input: the tensor that takes token ids, (N, context_length).
        output: the tensor that gives vectors, float32 (N, D).
        context_length: tokens of a text, its start and end among them.
        pad_id: what fills the rest.
    """

    file: SourceFile
    tokenizer: SourceFile
    input: str
    output: str
    context_length: int
    pad_id: int


@dataclass(frozen=True)
class Pixels:
    """How the model wants its pixels; see `handler.images.preprocess.Preprocess`."""

    input_size: int
    resize_mode: str
    interpolation: str
    crop: str
    channel_order: str
    divisor: float
    mean: list[float]
    std: list[float]
    resize_size: int = 0  # as input_size

    @property
    def shortest(self) -> int:
        """What the shortest side becomes, pixels."""
        return self.resize_size or self.input_size


@dataclass(frozen=True)
class Canonical:
    """The proof by somebody else.

    Attributes:
        reference: a JSON file beside the manifest: the test card's vector, made by another implementation.
    """

    reference: str


@dataclass(frozen=True)
class Manifest:
    """A whole manifest, and the file it was read from."""

    path: Path
    name: str
    embedding_dim: int
    source: Source
    image: ImageTower
    licence: Licence
    preprocess: Pixels
    text: TextTower | None = None
    canonical: Canonical | None = None

    @property
    def folder(self) -> Path:
        """Where files beside the manifest are."""
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
