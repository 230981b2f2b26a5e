"""Jobs: files that are uploaded together. A job is its objects: nothing else is stored about it."""

import re
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from handler.api.http.call import Call
from handler.api.http.definitions import UUID
from handler.api.http.items import vector_of
from handler.api.http.multipart import FormFile
from handler.api.http.response import MAX_JSON_BYTES, HttpResponse, json_response
from handler.api.http.scope import file_name
from handler.api.http.services import Services
from handler.api.items import MAX_BATCH
from handler.aws.retries import attempt
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3 import ListedObject
from handler.concurrency import map_concurrently
from handler.errors import DropvecError, MissingObjectError, NormUnknownError, RejectedError, Rejection, RequestError
from handler.frozen import frozen
from handler.images.sniff import sniff
from handler.results.item import ERROR, SUCCESS, WireItem, read_item, text_of
from handler.sizes import check_size
from handler.timing import Deadline

if TYPE_CHECKING:
    from handler.results.record import Embedding

_JOB_ID = re.compile(UUID)
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,2})-")
# The longest float32 in JSON with its separator; an entry's other fields.
_NUMBER_BYTES, _ENTRY_BYTES = 17, 4096
_FILES, _NORMALIZE, _PRIORITY = "files", "normalize", "priority"


@frozen
class _Job:
    """A job as its objects describe it.

    Attributes:
        objects: by the number of their file; those that were deleted are missing.
        total: the number of files that were sent.
        normalize: whether the vectors of the answer have length 1.
    """

    objects: dict[int, ListedObject]
    total: int
    normalize: bool


def create_job(services: Services, call: Call) -> HttpResponse:
    """Write the files to the uploads bucket, from where they go the way of every upload.

    Raises:
        RequestError: a name does not fit the stack's filters, or the answer would be too large.
        RejectedError: a file is empty.
        RetryableError: S3 failed; some of the files may be in the bucket.
    """
    files: tuple[FormFile, ...] = call.form.files if call.form else ()
    most = MAX_JSON_BYTES // (_ENTRY_BYTES + services.identity.embedding_dim * _NUMBER_BYTES)
    if len(files) > most:
        raise RequestError(f"file is given {len(files)} times; the answer of this model fits at most {most}")
    job_id = str(uuid.uuid4())
    folder = f"jobs/{job_id}/"
    keys = [services.scope.new_key(folder, f"{number}-{_name(file)}") for number, file in enumerate(files)]
    for file in files:
        check_size(len(file.data), services.limits.max_bytes)
    metadata = {
        _FILES: str(len(files)),
        _NORMALIZE: str(call.body.get(_NORMALIZE, True)).lower(),
        _PRIORITY: str(call.body.get(_PRIORITY, 0)),
    }

    def put(number: int) -> None:
        key, data = keys[number], files[number].data
        write = services.s3.put_with_metadata
        attempt(partial(write, services.scope.bucket, key, data, _media_type(data), metadata), call.deadline)

    map_concurrently(put, range(len(files)))
    return json_response({"job_id": job_id, "status": "queued"}, 202)


def _name(file: FormFile) -> str:
    return file_name(file.name)


def _media_type(data: bytes) -> str:
    """The content type by the bytes; what the sender says is not believed."""
    name = sniff(data)
    return f"image/{name}" if name else "application/octet-stream"


def read_job(services: Services, call: Call) -> HttpResponse:
    """The job as its objects and their items are now.

    A file is done when the item of its key describes the object that the key has. So it stays undone while its message
    waits in the queue, or in the dead-letter queue.

    Raises:
        MissingObjectError: there is no such job, or all of its files were deleted.
        RetryableError: S3 or DynamoDB failed.
    """
    job_id = call.parameters["job_id"]
    if not _JOB_ID.fullmatch(job_id):
        raise _no_job(job_id)
    job = _find(services, job_id, call.deadline)
    files = _finished(services, job_id, job, call.deadline)
    output = {"files": files, "total_files": job.total, "normalize": job.normalize}
    status = "ok" if len(files) == job.total else "queued"
    return json_response({"job_id": job_id, "status": status, "task_output": output})


def _no_job(job_id: str) -> MissingObjectError:
    return MissingObjectError(f"there is no job {job_id[:60]}")


def _find(services: Services, job_id: str, deadline: Deadline) -> _Job:
    folder = _folder(services, job_id)
    page = attempt(partial(services.s3.list_objects, services.scope.bucket, folder), deadline)
    numbered = {
        int(found[1]): entry
        for entry in page.entries
        if services.scope.matches(entry.key) and (found := _NUMBER.match(entry.key.removeprefix(folder)))
    }
    for entry in numbered.values():
        metadata = _metadata(services, entry.key, deadline)
        total = metadata.get(_FILES, "")
        if total.isascii() and total.isdigit() and 0 < int(total) <= MAX_BATCH:
            objects = {number: each for number, each in numbered.items() if number < int(total)}
            return _Job(objects, int(total), normalize=metadata.get(_NORMALIZE) != "false")
    raise _no_job(job_id)


def _folder(services: Services, job_id: str) -> str:
    return f"{services.scope.prefix}jobs/{job_id}/"


def _metadata(services: Services, key: str, deadline: Deadline) -> dict[str, str]:
    """The user metadata of an object; none if it was deleted meanwhile."""
    head = partial(services.s3.head_object, services.scope.bucket, key)
    try:
        return dict(attempt(head, deadline, expected={"404"}).metadata)
    except ServiceError:
        return {}


def _finished(services: Services, job_id: str, job: _Job, deadline: Deadline) -> list[dict[str, Any]]:
    """The entries of the files that are done, in the order of the request."""
    sources = {number: services.scope.source(entry.key) for number, entry in job.objects.items()}
    items = services.items.read_many(list(sources.values()), deadline)
    entries = []
    for number in range(job.total):
        if number not in sources:
            path = services.scope.source(f"{_folder(services, job_id)}{number}-")
            entries.append(_entry(path, MissingObjectError("the file was deleted")))
        elif (item := items.get(sources[number])) and _is_outcome(item, job.objects[number]):
            entries.append(_entry_of(sources[number], item, normalize=job.normalize))
    return entries


def _is_outcome(item: WireItem, entry: ListedObject) -> bool:
    """Whether an item is the outcome of the object that its key has now."""
    return text_of(item, "status") in {SUCCESS, ERROR} and text_of(item, "etag") == entry.etag.strip('"')


def _entry_of(source: str, item: WireItem, *, normalize: bool) -> dict[str, Any]:
    if text_of(item, "status") == ERROR:
        text = text_of(item, "error") or "the object was rejected"
        return _entry(source, RejectedError(Rejection(text_of(item, "error_code") or ""), text))
    try:
        entry = _entry(source, _embedding(item, normalize=normalize))
    except DropvecError as error:
        return _entry(source, error)
    labels = read_item(item).labels
    shown = {} if labels is None else {"labels": [{"label": name, "score": score} for name, score in labels]}
    return {**entry, **shown}


def _embedding(item: WireItem, *, normalize: bool) -> "Embedding":
    """The vector of an item, with or without normalisation.

    Raises:
        NormUnknownError: it was normalised, and the item does not say how long it was.
        RejectedError: it is all zeros.
    """
    import numpy as np  # noqa: PLC0415 - for vectors only

    from handler.results.record import Embedding  # noqa: PLC0415 - imports numpy

    stored = read_item(item)
    found = Embedding(vector_of(item), normalized=bool(stored.normalized))
    if found.normalized == normalize:
        return found
    if normalize:
        return found.normalize()
    if stored.norm is None:
        raise NormUnknownError("the item was written before norms were stored; embed the object again")
    return Embedding(found.vector * np.float32(stored.norm), normalized=False)


def _entry(path: str, outcome: "Embedding | DropvecError") -> dict[str, Any]:
    from handler.results.record import file_entry  # noqa: PLC0415 - imports numpy

    return file_entry(path, outcome)
