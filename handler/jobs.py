"""The unit of work: one S3 key whose item and result JSON are to be reconciled with its object."""

from dataclasses import field

from handler.frozen import frozen


@frozen
class Job:
    """One key to process.

    Attributes:
        bucket: its name.
        key: decoded.
        sequencer: as in the event; None where it has none.
        event_id: the id of the S3 request that changed the key, else of the message or task; None where there is none.
            It does not count when two jobs are compared.
    """

    bucket: str
    key: str
    sequencer: str | None
    event_id: str | None = field(default=None, compare=False)
