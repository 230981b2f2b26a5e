"""The unit of work: one S3 key whose item and result are to be brought up to date."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """One key to look at.

    Attributes:
        bucket: its name.
        key: as it is, decoded.
        sequencer: as the event has it; None when it has none.
        event_id: what the change is called elsewhere: the id of the request to S3 that made it, else of the message or
            the task that told of it; None where there is none. Two jobs are the same work whatever told of them.
    """

    bucket: str
    key: str
    sequencer: str | None
    event_id: str | None = field(default=None, compare=False)
