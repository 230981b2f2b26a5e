"""S3 Vectors' answer -> hits: their scores, order and fields."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from handler.frozen import frozen


@frozen
class Hit:
    """One found object.

    Attributes:
        key: of its vector.
        score: the cosine of its vector and the query's.
        metadata: as the index has it.
        label_score: of the label that was asked for; None where vectors were compared.
        duplicates: how many similar hits were left out in favour of this one.
    """

    key: str
    score: float
    metadata: Mapping[str, Any]
    label_score: float | None = None
    duplicates: int = 0

    @property
    def rank(self) -> float:
        """What hits are ordered by, and what `min_score` applies to."""
        return self.score if self.label_score is None else self.label_score

    def to_json(self) -> dict[str, Any]:
        """The hit as the answer has it."""
        found = self.metadata
        labels = zip(found.get("labels", ()), found.get("label_scores", ()), strict=False)
        return {
            "source": found.get("source"),
            "score": round(self.score, 6),
            **({} if self.label_score is None else {"label_score": round(self.label_score, 6)}),
            "labels": [{"label": label, "score": score} for label, score in labels],
            "width": found.get("width"),
            "height": found.get("height"),
            "format": found.get("format"),
            "updated_at": _iso(found.get("updated_at")),
            "result": found.get("result"),
            "duplicates": self.duplicates,
        }


def read_hits(vectors: Iterable[Mapping[str, Any]]) -> list[Hit]:
    """The vectors of a query's answer; the score is 1 minus the cosine distance."""
    return [Hit(vector["key"], 1.0 - vector["distance"], vector.get("metadata") or {}) for vector in vectors]


def by_label(hits: Iterable[Hit], labels: Collection[str]) -> list[Hit]:
    """The hits that have one of the labels, best label score first; of equal ones the higher cosine first."""
    scored = [replace(hit, label_score=score) for hit in hits if (score := _label_score(hit, labels)) is not None]
    return in_order(scored)


def in_order(hits: Iterable[Hit]) -> list[Hit]:
    """Best first; of equal ones always in the same order, so that pages fit together."""
    return sorted(hits, key=lambda hit: (-hit.rank, -hit.score, hit.key))


def _label_score(hit: Hit, labels: Collection[str]) -> float | None:
    scored = zip(hit.metadata.get("labels", ()), hit.metadata.get("label_scores", ()), strict=False)
    return max((score for name, score in scored if name in labels), default=None)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
