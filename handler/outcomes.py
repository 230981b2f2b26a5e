"""The outcome of a job."""

from enum import StrEnum

from handler.errors import DropvecError
from handler.frozen import frozen
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


@frozen
class Outcome:
    """The outcome of a job.

    Attributes:
        job: the job.
        status: how it ended.
        error: why it was rejected or failed, or that the object does not exist.
        embedding: not normalised; None without a vector.
        timings_ms: by stage, and in total.
    """

    job: Job
    status: Status
    error: DropvecError | None
    embedding: ImageEmbedding | None
    timings_ms: dict[str, float]
