"""The model bundle of a search: each part is loaded when a request first needs it, and then kept."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from handler.errors import NoTextTowerError
from handler.frozen import frozen
from handler.model.identity import ModelIdentity
from handler.sizes import check_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handler.api.vectors import Numbers
    from handler.model.encoder import Encoder
    from handler.model.label_vectors import LabelVectors
    from handler.model.text import TextEncoder
    from handler.model.vocabulary import Vocabulary

# Every import of a tower or of the vocabulary stands in the method that needs it: a search by example needs none.


@frozen
class Limits:
    """What a picture of a query may have.

    Attributes:
        max_bytes: of its file.
        max_pixels: of the picture.
    """

    max_bytes: int
    max_pixels: int


@dataclass(slots=True)
class Towers:
    """A bundle.

    Attributes:
        bundle: its directory.
        identity: what it is.
        limits: of pictures.
    """

    bundle: Path
    identity: ModelIdentity
    limits: Limits
    _lock: Lock = field(default_factory=Lock)
    _image: "Encoder | None" = None
    _text: "TextEncoder | None" = None
    _vocabulary: "Vocabulary | None" = None
    _labels: "LabelVectors | None" = None

    def embed_text(self, words: str) -> "Numbers":
        """Embed a text; loads the text tower alone.

        Raises:
            NoTextTowerError: the model has none.
            BundleError: the tower is absent or damaged.
        """
        if not self.identity.has_text_tower:
            raise NoTextTowerError(f"{self.identity.name} has no text tower: search by image, source or vector")
        from handler.model.text import load_text_tower  # noqa: PLC0415 - see above

        with self._lock:
            self._text = self._text or load_text_tower(self.bundle)
            numbers: list[float] = self._text.embed([words])[0].tolist()
            return numbers

    def embed_image(self, data: bytes) -> "Numbers":
        """Embed the bytes of an image file; loads the image tower alone.

        Raises:
            RejectedError: they are not an image that can be embedded.
            BundleError: the tower is absent or damaged.
        """
        from handler.embed import embed_image  # noqa: PLC0415 - see above
        from handler.model.encoder import load_encoder  # noqa: PLC0415 - see above
        from handler.timing import Stopwatch  # noqa: PLC0415 - see above

        check_size(len(data), self.limits.max_bytes)
        with self._lock:
            self._image = self._image or load_encoder(self.bundle, with_labels=False)
            found = embed_image(self._image, data, self.limits.max_pixels, Stopwatch())
            numbers: list[float] = found.vector.tolist()
            return numbers

    def label_vector(self, labels: "Sequence[str]") -> "Numbers":
        """A vector to search with for objects that have one of the labels: the mean of their classifier rows.

        It decides the `score` of hits and, beyond 10,000 objects with the label, which of them are found.
        """
        from handler.model.label_vectors import load_label_vectors  # noqa: PLC0415 - see above

        with self._lock:
            self._labels = self._labels or load_label_vectors(self.bundle)
            return self._labels.of(labels)

    def vocabulary(self) -> "Vocabulary":
        """The words of a model without a text tower.

        Raises:
            NoTextTowerError: it has no vocabulary either.
            BundleError: the vocabulary is absent or damaged.
        """
        from handler.model.vocabulary import load_vocabulary  # noqa: PLC0415 - see above

        with self._lock:
            self._vocabulary = self._vocabulary or load_vocabulary(self.bundle)
            if self._vocabulary is None:
                raise NoTextTowerError(
                    f"{self.identity.name} has no text tower and no vocabulary: search by image, source or vector"
                )
            return self._vocabulary
