"""The order model with the indexes: the table's stream, an indexer that fails and repeats, and operators' commands.

The stream has one shard, as for one key. Its batches fail anywhere, lose answers, come again whole or in halves, or are
given up after too many attempts, as Lambda's event source mapping does it. Objects are embedded by two models in turn.
After the last delivery every index holds what the table says.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from handler.errors import RetryableError
from handler.index.plan import plan_of
from handler.index.stream import read_stream
from handler.index.writer import IndexWriter
from handler.model.encoder import Encoder
from handler.results.item import read_item
from handler.results.record import tombstone_of
from handler.settings import read_settings
from handler.timing import Deadline
from infra.local.s3vectors.errors import TooManyRequestsError
from tests.support.index_divergences import Held, divergences
from tests.support.order_histories import HISTORIES
from tests.support.order_model import KEY, RESULTS, SOURCE, TABLE, UPLOADS, OrderMachine, embedded
from tests.support.stream_records import event_of, record_of
from tests.support.vector_indexes import Indexes

MAX_CALLS = 8

# As in the order model, and: i indexes all that the stream has, u a record after which the answers get lost; g gives up
# the next record, h after it was applied; m takes the other model; t redrives, k rebuilds, x lets a tombstone expire;
# f is a step of `forget`, F all that are left.
INDEX_HISTORIES = [
    "p.iq.i",
    "p.md3mp9",  # a worker of the other model has deleted the JSON that is named again
    "p.imb.i",  # both indexes have the picture
    "p.imb.iq.i",  # and the old one must not show the new picture under the old vector
    "p.iq.gmb.it",  # a change that was given up leaves an old vector, which the redrive finds
    "p.imb.iq.gt",
    "p.imb.iq.ut",
    "p.imb.id.gt",
    "p.imb.id.ix",
    "p.imb.id.gxgk",  # neither the tombstone nor its removal reached the indexes
    "p.imb.kq.kd.k",
    "p.imb.iq.mb.i",  # one batch with a new picture, and the same again by the first model
    "p.iq.hp.i",  # back to the first picture
    "p.imb.iF.i",
    "p1F",  # an upload is under way, which has read the object
    "p2F",  # or has written its JSON
    "p.iq2fffv",  # or commits after the tombstone
    "pfff9",
    "p.dF.i",
]


class IndexMachine(OrderMachine):
    """The order model, and behind its table the indexes."""

    encoders: tuple[Encoder, Encoder]
    vectors_by_model: Mapping[str, list[Any]]

    def __init__(self) -> None:
        super().__init__()
        self.indexes = Indexes()
        self.writer = IndexWriter(self.indexes.client)
        self.indexed = 0  # position in the stream
        self.given_up = False
        self.touches = 0
        self.forgetting: Iterator[None] | None = None

    @initialize(
        versioned=st.booleans(),
        history=st.sampled_from(HISTORIES + INDEX_HISTORIES),
        patience=st.sampled_from([4, 12, 99, 99]),
    )
    def begin(self, versioned: bool, history: str, patience: int) -> None:
        super().begin(versioned, history, patience)

    def _change(self, step: str) -> None:
        steps: Mapping[str, Callable[[], object]] = {
            "i": self._index_all,
            "u": lambda: self._index(1, fails_at=1, loses=True),
            "g": lambda: self.give_up(None),
            "h": lambda: self.give_up(MAX_CALLS),
            "m": self.switch_model,
            "t": self.redrive,
            "k": self.rebuild,
            "x": self.expire,
            "f": self.forget,
            "F": self._finish_forgetting,
        }
        if step in steps:
            steps[step]()
        else:
            super()._change(step)

    # The owner's and operators' doings.

    @precondition(lambda self: self.patience)
    @rule()
    def switch_model(self) -> None:
        """Workers that begin later embed with the other model; those under way keep theirs."""
        one, other = self.encoders
        self.encoder = other if self.encoder is one else one
        self._disturb()

    @precondition(lambda self: self.patience and self._waiting())
    @rule(size=st.integers(1, 4))
    def index(self, size: int) -> None:
        """A batch that succeeds."""
        self._index(size)

    @precondition(lambda self: self.patience and self._waiting())
    @rule(size=st.integers(1, 4), calls=st.integers(0, MAX_CALLS), loses=st.booleans())
    def index_and_fail(self, size: int, calls: int, loses: bool) -> None:
        """A batch of which only some calls are made; it comes again, as large or smaller."""
        self._index(size, fails_at=calls, loses=loses)

    @precondition(lambda self: self.patience and self._waiting())
    @rule(calls=st.none() | st.integers(0, MAX_CALLS))
    def give_up(self, calls: int | None) -> None:
        """A record for which all attempts are over; some may have made some of its calls."""
        if not self._waiting():
            return
        if calls is not None:
            self._index(1, fails_at=calls, advances=False)
        self.indexed += 1
        self.given_up = True

    @precondition(lambda self: self.patience and self.given_up)
    @rule()
    def redrive(self) -> None:
        """Touch the items that failed records name."""
        self._touch()

    @precondition(lambda self: self.patience)
    @rule()
    def rebuild(self) -> None:
        """Touch every item; a vector without an item gets a tombstone."""
        if SOURCE in self.dynamodb.items:
            self._touch()
        elif any(self._held().values()):
            self._disturb()
            self.dynamodb.put_item(
                Item=tombstone_of(SOURCE, None, None, self._now()),
                ConditionExpression="attribute_not_exists(#source)",
                ExpressionAttributeNames={"#source": "source"},
            )

    @precondition(lambda self: self.patience and self._can_expire())
    @rule()
    def expire(self) -> None:
        """A tombstone's TTL ends, long after all events of the key."""
        if self._can_expire():
            self.dynamodb.remove(SOURCE)
            self.delivered.clear()
            self.newest = None

    @precondition(lambda self: self.patience)
    @rule()
    def forget(self) -> None:
        """One step of `forget`, beside uploads under way."""
        if self.forgetting is None:
            self.forgetting = self._forget()
        if next(self.forgetting, "done") == "done":
            self.forgetting = None

    def _forget(self) -> Iterator[None]:
        """The steps of `infra.operate.search.forget`, until nothing comes back."""
        while True:
            if self.s3.keys.pop((UPLOADS, KEY), None):
                self._happened(sequenced=True)  # S3 sends an event of each version
            yield
            names = self._results()
            yield
            self._disturb()
            self.dynamodb.replace(dict(tombstone_of(SOURCE, None, None, self._now())))
            self.newest = None
            yield
            for address in {*names, *self._results()}:
                self._disturb()
                self.s3.delete_object(RESULTS, address.removeprefix(f"s3://{RESULTS}/"))
                yield
            if self._current() is None and not self._results() and self._item()["status"] == "deleted":
                return

    def _finish_forgetting(self) -> None:
        self.forget()
        while self.forgetting is not None:
            self.forget()

    def _can_expire(self) -> bool:
        return (
            self.forgetting is None
            and not self.workers
            and not self.pending
            and self._item().get("status") == "deleted"
        )

    def _touch(self) -> None:
        self._disturb()
        self.touches += 1
        self.dynamodb.touch(SOURCE, f"{self.touches}")

    # Lambda's event source mapping.

    def _waiting(self) -> bool:
        return self.indexed < len(self.dynamodb.changes)

    def _index(self, size: int, *, fails_at: int | None = None, loses: bool = False, advances: bool = True) -> None:
        batch = self.dynamodb.changes[self.indexed : self.indexed + size]
        left = math.inf if fails_at is None else fails_at

        def before(_operation: str, _members: Mapping[str, Any]) -> None:
            nonlocal left
            left -= 1
            self.indexes.lost = loses and left == -1
            if left < (-1 if loses else 0):
                raise TooManyRequestsError("slow down")

        self.indexes.before = before
        try:
            event = event_of(record_of(old, new) for old, new in batch)
            self.writer.apply(plan_of(read_stream(event)), Deadline(3600))
        except RetryableError:
            assert fails_at is not None
            return
        finally:
            self.indexes.lost = False
        if advances:
            self.indexed += len(batch)

    def _index_all(self) -> None:
        while self._waiting():
            self._index(4)

    # What must be true.

    def teardown(self) -> None:
        if self.forgetting is not None:
            self._finish_forgetting()
        super().teardown()
        self._index_all()
        if self.given_up:
            self.rebuild()  # touches the item, as a redrive does, or writes a tombstone where there is none
            self._index_all()
        items = {source: read_item(item) for source, item in self.dynamodb.items.items()}
        assert list(divergences(items, self._held())) == []

    def _held(self) -> dict[str, dict[str, Held]]:
        return {
            name: {
                key: Held(vector["metadata"]["etag"], vector["data"].tobytes())
                for key, vector in self.indexes.vectors(name).items()
            }
            for name in self.indexes.names()
        }

    def _vectors_of(self, fingerprint: str) -> list[Any]:
        return self.vectors_by_model[fingerprint]


def make_index_machine(one: Encoder, other: Encoder) -> type[IndexMachine]:
    """A machine class that embeds with one encoder, and after each switch with the other one."""
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
    vectors = {encoder.spec.fingerprint: embedded(encoder, settings) for encoder in (one, other)}
    attributes = {"encoder": one, "encoders": (one, other), "settings": settings, "vectors_by_model": vectors}
    return type("Machine", (IndexMachine,), attributes)
