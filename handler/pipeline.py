"""One job: read the object, embed it, commit the outcome. The only module that knows all stages."""

from dataclasses import field, replace
from threading import Lock

from handler.aws.clients import Clients
from handler.aws.objects import StoredObject, read_object
from handler.embed import embed_image
from handler.errors import DropvecError, MissingObjectError, RejectedError, RetryableError
from handler.frozen import frozen
from handler.jobs import Job
from handler.log import with_typed_errors
from handler.model.encoder import Encoder
from handler.outcomes import Outcome, Status
from handler.results.keys import source_of
from handler.results.protocol import Verdict, choose_condition, commit_record, commit_tombstone
from handler.results.record import ImageEmbedding, Record
from handler.results.sequencing import WriteCondition
from handler.results.store import Store
from handler.settings import Settings
from handler.timing import Deadline, Stopwatch

# How often a job starts over because its item changed meanwhile, before it fails and is delivered again.
MAX_ROUNDS = 4


@frozen
class Pipeline:
    """The function's parts, made once at cold start.

    Attributes:
        settings: from the environment.
        encoder: the model.
        clients: S3 and DynamoDB.
        store: JSON and items.
        compute_lock: held while decoding and embedding: two at once would take as long, and twice the memory.
    """

    settings: Settings
    encoder: Encoder
    clients: Clients
    store: Store
    compute_lock: Lock = field(default_factory=Lock)

    def process(self, job: Job, deadline: Deadline) -> Outcome:
        """Reconcile the item and the JSON of a job's key with the current S3 object. Never raises."""
        watch = Stopwatch()
        try:
            outcome = with_typed_errors(lambda: self._reconcile(job, deadline, watch))
        except DropvecError as error:
            outcome = Outcome(job, Status.FAILED, error, None, {})
        return replace(outcome, timings_ms=watch.read())

    def embed_object(self, bucket: str, key: str, deadline: Deadline) -> ImageEmbedding:
        """Embed the current S3 object of a key without storing anything; not normalised.

        Raises:
            DropvecError: it cannot be embedded.
        """
        content = read_object(self.clients.s3, bucket, key, self.settings.max_image_bytes, deadline).content
        if isinstance(content, RejectedError):
            raise content
        return self.embed_bytes(content, Stopwatch())

    def embed_bytes(self, data: bytes, watch: Stopwatch) -> ImageEmbedding:
        """Embed the bytes of an image, whose size was checked; not normalised.

        Raises:
            RejectedError: the bytes are not an image that can be embedded.
        """
        with self.compute_lock:
            watch.lap("wait")
            return embed_image(self.encoder, data, self.settings.max_image_pixels, watch)

    def _reconcile(self, job: Job, deadline: Deadline, watch: Stopwatch) -> Outcome:
        if job.bucket == self.settings.results_bucket:
            return Outcome(job, Status.IGNORED, None, None, {})
        for number in range(MAX_ROUNDS):
            if deadline.left() <= 0:
                raise RetryableError("no time is left in this invocation")
            condition = choose_condition(self.store, job, deadline, contended=number > 0)
            outcome, verdict = self._try(job, condition, deadline, watch)
            if verdict is Verdict.CURRENT:
                return outcome
            if verdict is Verdict.SUPERSEDED:
                return replace(outcome, status=Status.SUPERSEDED)
        raise RetryableError(f"the item of {source_of(job.bucket, job.key)} changed {MAX_ROUNDS} times meanwhile")

    def _try(
        self, job: Job, condition: WriteCondition, deadline: Deadline, watch: Stopwatch
    ) -> tuple[Outcome, Verdict]:
        """Read the object, embed it and commit the outcome, unless the item changed meanwhile."""
        try:
            stored = read_object(self.clients.s3, job.bucket, job.key, self.settings.max_image_bytes, deadline)
        except MissingObjectError as error:
            deleted = Outcome(job, Status.DELETED, error, None, {})
            return deleted, commit_tombstone(self.store, job, condition, deadline)
        finally:
            watch.lap("fetch")
        if stored.size == 0 and job.key.endswith("/") and not self._has_live_item(job, deadline):
            return Outcome(job, Status.IGNORED, None, None, {}), Verdict.CURRENT
        found = self._embed(stored, watch)
        record = self._record(job, stored, found, watch)
        return _outcome(job, found), commit_record(self.store, record, condition, deadline, watch)

    def _has_live_item(self, job: Job, deadline: Deadline) -> bool:
        """Whether a folder marker replaced an image: its item would stay otherwise."""
        item = self.store.read(job.bucket, job.key, deadline)
        return item is not None and not item.is_tombstone

    def _embed(self, stored: StoredObject, watch: Stopwatch) -> ImageEmbedding | RejectedError:
        if isinstance(stored.content, RejectedError):
            return stored.content
        try:
            found = self.embed_bytes(stored.content, watch)
            self._as_stored(found)
        except RejectedError as error:
            return error
        return found

    def _as_stored(self, found: ImageEmbedding) -> ImageEmbedding:
        """The embedding as the item has it: normalised if the settings say so.

        Raises:
            RejectedError: `unusable_vector`.
        """
        stored = found.normalize() if self.settings.normalize else found
        stored.require_storable(self.settings.embedding_dtype)
        return stored

    def _record(
        self, job: Job, stored: StoredObject, found: ImageEmbedding | RejectedError, watch: Stopwatch
    ) -> Record:
        if isinstance(found, ImageEmbedding):
            found = self._as_stored(found)
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


def _outcome(job: Job, found: ImageEmbedding | RejectedError) -> Outcome:
    if isinstance(found, ImageEmbedding):
        return Outcome(job, Status.SUCCESS, None, found, {})
    return Outcome(job, Status.REJECTED, found, None, {})
