"""What the stand-in holds: vector buckets, and the open pages of queries."""

from dataclasses import dataclass, field

from infra.local.s3vectors.buckets import Buckets
from infra.local.s3vectors.tokens import QuerySessions


@dataclass
class State:
    """All of it is gone with the process."""

    buckets: Buckets = field(default_factory=Buckets)
    sessions: QuerySessions = field(default_factory=QuerySessions)
