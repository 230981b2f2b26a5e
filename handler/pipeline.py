"""One job, told in one page: fetch, decode, embed, record, commit. The only module that knows the stages."""

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from handler.aws.clients import Clients
from handler.aws.objects import StoredObject, read_object
from handler.errors import (
    DropvecError,
    InternalError,
    MissingObjectError,
    RejectedError,
    Rejection,
    RetryableError,
)
from handler.images.decode import decode
from handler.images.preprocess import to_tensor
from handler.jobs import Job
from handler.model.encoder import Encoder
from handler.outcomes import Outcome, Status
from handler.results.record import ImageEmbedding, Record, labels_attribute, source_of
from handler.results.sequencing import Basis, Sequenced, Unsequenced, normalize_sequencer, text_of
from handler.results.store import DELETED, Committed, Refused, Store, says_the_same
from handler.settings import Settings
from handler.timing import Deadline, Stopwatch

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

T = TypeVar("T")

# How often a job starts over because its item changed under it, before it is handed back.
MAX_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The function's parts, put together once at cold start.

    Attributes:
        settings: the environment's.
        encoder: the model.
        clients: S3 and DynamoDB.
        store: what writes.
        turn: held by whoever decodes or embeds: two at once would only wait for each other, with twice the memory.
    """

    settings: Settings
    encoder: Encoder
    clients: Clients
    store: Store
    turn: Lock = field(default_factory=Lock)

    def process(self, job: Job, deadline: Deadline) -> Outcome:
        """Bring the item and the JSON of a job's key to what the key holds now. Never raises."""
        watch = Stopwatch()
        try:
            outcome = contained(lambda: self._settle(job, deadline, watch))
        except DropvecError as error:
            outcome = Outcome(job, Status.FAILED, error, None, {})
        return replace(outcome, timings_ms=watch.read())

    def embed_object(self, bucket: str, key: str, deadline: Deadline) -> ImageEmbedding:
        """Embed what a key holds now, without storing anything; not normalised.

        Raises:
            DropvecError: it cannot be.
        """
        stored = read_object(self.clients.s3, bucket, key, self.settings.max_image_bytes, deadline)
        if stored.data is None:
            raise stored.refusal or MissingObjectError(f"{source_of(bucket, key)} holds nothing")
        return self.embed_bytes(stored.data, Stopwatch())

    def embed_bytes(self, data: bytes, watch: Stopwatch) -> ImageEmbedding:
        """Embed the bytes of an image; not normalised.

        Raises:
            RejectedError: they are not an image that can be embedded.
        """
        check_length(data, self.settings.max_image_bytes)
        with self.turn:
            watch.lap("wait")
            return embed_image(self.encoder, data, self.settings.max_image_pixels, watch)

    def _settle(self, job: Job, deadline: Deadline, watch: Stopwatch) -> Outcome:
        if job.bucket == self.settings.results_bucket:
            return Outcome(job, Status.IGNORED, None, None, {})
        for number in range(MAX_ROUNDS):
            if deadline.left() <= 0:
                raise RetryableError("no time left in this invocation")
            basis = self._basis(job, deadline, contended=number > 0)
            outcome = self._round(job, basis, deadline, watch)
            if outcome is not None:
                return outcome
        raise RetryableError(f"{source_of(job.bucket, job.key)} kept changing while it was worked on")

    def _round(self, job: Job, basis: Basis, deadline: Deadline, watch: Stopwatch) -> Outcome | None:
        """Work on the key once; None when the world has changed meanwhile and it must be looked at again."""
        try:
            stored = read_object(self.clients.s3, job.bucket, job.key, self.settings.max_image_bytes, deadline)
        except MissingObjectError as error:
            return self._bury(job, basis, error, deadline)
        finally:
            watch.lap("fetch")
        if stored.size == 0 and job.key.endswith("/") and not self._was_picture(job, deadline):
            return Outcome(job, Status.IGNORED, None, None, {})
        found = self._embed_stored(stored, watch)
        record = self._record(job, stored, found, watch)
        outcome = _outcome(job, found)
        if self._says_so_already(basis, record):
            settled = record.error_code is not None or self.store.settle_result(record, deadline)
            return outcome if settled else None
        return self._write(record, basis, outcome, deadline, watch)

    def _basis(self, job: Job, deadline: Deadline, *, contended: bool) -> Basis:
        """What the outcome will be written on: an event's word first, and where that was not enough, the item."""
        floor = normalize_sequencer(job.sequencer) if job.sequencer else None
        if floor is not None and not contended:
            return Sequenced(floor)
        seen = self.store.read(job.bucket, job.key, deadline)
        if floor is not None and (text_of(seen, "sequencer") or "") > floor:
            return Sequenced(floor)  # will be told that it is superseded
        return Unsequenced(seen, floor)

    def _was_picture(self, job: Job, deadline: Deadline) -> bool:
        """Whether a folder marker took the place of something that has an item, which would stay."""
        status = text_of(self.store.read(job.bucket, job.key, deadline), "status")
        return status is not None and status != DELETED

    def _embed_stored(self, stored: StoredObject, watch: Stopwatch) -> ImageEmbedding | RejectedError:
        if stored.refusal is not None or stored.data is None:
            return stored.refusal or RejectedError(Rejection.EMPTY_OBJECT, "the object has no bytes")
        try:
            return self.embed_bytes(stored.data, watch)
        except RejectedError as error:
            return error

    def _record(
        self, job: Job, stored: StoredObject, found: ImageEmbedding | RejectedError, watch: Stopwatch
    ) -> Record:
        if isinstance(found, ImageEmbedding) and self.settings.normalize:
            found = found.normalize()
        return Record(
            bucket=job.bucket,
            key=job.key,
            etag=stored.etag,
            version_id=stored.version_id,
            size=stored.size,
            model=self.encoder.spec.name,
            fingerprint=self.encoder.spec.fingerprint,
            outcome=found,
            timings_ms=watch.read(),
            event_id=job.event_id,
        )

    def _says_so_already(self, basis: Basis, record: Record) -> bool:
        """Whether work without a sequencer finds nothing to change.

        An object that was embedded and is archived again, when its restored copy expires, keeps its vector.
        """
        if isinstance(basis, Sequenced) or basis.seen is None:
            return False
        seen = basis.seen
        said = [text_of(seen, name) for name in ("status", "etag", "fingerprint", "sequencer")]
        if said != ["success", record.etag, record.fingerprint, basis.sequencer]:
            return False
        if record.error_code is not None:
            return record.error_code == Rejection.ARCHIVED_OBJECT
        return (
            text_of(seen, "version_id") == record.version_id
            and text_of(seen, "embedding_dtype") == self.settings.embedding_dtype
            and seen["normalized"].get("BOOL") == self.settings.normalize
            and seen.get("labels") == _labels_said(record)
        )

    def _write(
        self, record: Record, basis: Basis, outcome: Outcome, deadline: Deadline, watch: Stopwatch
    ) -> Outcome | None:
        result = self.store.write_result(record, deadline)
        watch.lap("write")
        answer = self.store.commit(record, result.address, basis, deadline)
        watch.lap("commit")
        if isinstance(answer, Committed):
            in_doubt = result.existed or answer.result_in_doubt
            return outcome if not in_doubt or self.store.settle_result(record, deadline) else None
        lost = answer.deleted or (answer.superseded and not result.existed)
        if lost and not answer.names(result.address) and not self.store.withdraw(record, deadline):
            return None
        if answer.changed:
            return None
        if answer.superseded:
            return replace(outcome, status=Status.SUPERSEDED)
        if text_of(answer.item, "error_code") != record.error_code:
            return outcome
        settled = says_the_same(answer.item, record) and self.store.settle_result(record, deadline)
        return outcome if settled else None  # a repeat that has other labels looks again, and changes the item first

    def _bury(self, job: Job, basis: Basis, error: MissingObjectError, deadline: Deadline) -> Outcome | None:
        outcome = Outcome(job, Status.DELETED, error, None, {})
        if isinstance(basis, Unsequenced) and basis.seen is None:
            return outcome
        answer = self.store.bury(job, basis, deadline)
        superseded = isinstance(answer, Refused) and answer.superseded
        if isinstance(answer, Refused) and answer.changed:
            return None
        if superseded:
            outcome = replace(outcome, status=Status.SUPERSEDED)
        if isinstance(answer, Refused) and not answer.deleted:
            return outcome
        # Also below a newer tombstone: whoever worked on this event before may have ended after that one's clean-up.
        return outcome if self.store.clean(job.bucket, job.key, deadline) else None


def check_length(data: bytes, limit: int) -> None:
    """Look at how many bytes an image has.

    Raises:
        RejectedError: it has none, or more than the limit.
    """
    if not data:
        raise RejectedError(Rejection.EMPTY_OBJECT, "the image has no bytes")
    if len(data) > limit:
        raise RejectedError(Rejection.TOO_MANY_BYTES, f"the image has {len(data)} bytes, more than the {limit} allowed")


def embed_image(encoder: Encoder, data: bytes, max_pixels: int, watch: Stopwatch) -> ImageEmbedding:
    """Bytes of an image -> pixels -> tensor -> vector, not normalised.

    Raises:
        RejectedError: they are not an image that can be embedded.
        InternalError: the model gave no vector.
    """
    how = encoder.spec.preprocess
    picture = decode(data, max_pixels, how.enough)
    watch.lap("decode")
    tensor = to_tensor(picture.image, how, (picture.width, picture.height))
    watch.lap("preprocess")
    vector = encoder.embed(tensor)
    watch.lap("embed")
    if not np.isfinite(vector).all():
        raise InternalError("the model gave a vector with infinities or not-a-numbers in it")
    return ImageEmbedding(
        vector,
        normalized=False,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        labels=None if encoder.labels is None else encoder.labels.top(vector),
    )


def _labels_said(record: Record) -> "AttributeValueTypeDef | None":
    found = record.outcome
    return labels_attribute(found.labels) if isinstance(found, ImageEmbedding) and found.labels is not None else None


def _outcome(job: Job, found: ImageEmbedding | RejectedError) -> Outcome:
    if isinstance(found, ImageEmbedding):
        return Outcome(job, Status.SUCCESS, None, found, {})
    return Outcome(job, Status.REJECTED, found, None, {})


def contained(operation: Callable[[], T]) -> T:
    """Run something so that only errors of our own tree come out: a defect must not sink its neighbours.

    Raises:
        DropvecError: as raised, or an `InternalError` whose trace has gone to the log.
    """
    try:
        return operation()
    except DropvecError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where a defect is stopped
        trace = traceback.format_exc()
        sys.stderr.write(json.dumps({"level": "ERROR", "error": str(error), "trace": trace}) + "\n")
        raise InternalError(f"{type(error).__name__}: {error}"[:300]) from None
