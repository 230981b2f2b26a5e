"""What became of a job."""

from dataclasses import dataclass
from enum import StrEnum

from handler.errors import DropvecError
from handler.jobs import Job
from handler.results.record import ImageEmbedding


class Status(StrEnum):
    """How a job ended."""

    SUCCESS = "success"
    REJECTED = "rejected"
    DELETED = "deleted"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: the job.
        status: how it ended.
        error: why, where it was rejected, deleted or has failed.
        embedding: not normalised, where one was made.
        timings_ms: by stage, and in total.
    """

    job: Job
    status: Status
    error: DropvecError | None
    embedding: ImageEmbedding | None
    timings_ms: dict[str, float]
