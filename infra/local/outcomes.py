"""Upload files and wait for their items in the table."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from infra.common.items import Item, plain
from infra.common.local_stack import Stack
from infra.local.images import Upload
from infra.local.server import LocalAws

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import BatchGetItemInputTypeDef

STALL_SECONDS = 120.0

_UPLOADERS = 4
_POLL_SECONDS = 0.2
_POLLED_KEYS = 200  # keys per poll; polling all keys would load the table more than the function does
_BATCH = 100  # DynamoDB's limit for BatchGetItem
# If a worker of a function fails to start, the emulator ends the function's other workers, too. An invocation of one of
# these fails with this message and a signal's number instead of the function's error; another attempt shows the error.
_ENDED = "bootstrap exited during init with code -"
_STARTS = 5

Watch = Callable[[int, int], None]


def upload_and_await(
    aws: LocalAws, stack: Stack, uploads: Sequence[Upload], watch: Watch, patience: float = STALL_SECONDS
) -> dict[str, Item]:
    """Upload all files, and wait until each has an item.

    Args:
        aws: the local AWS.
        stack: the stack to upload to.
        uploads: files with distinct keys.
        watch: called repeatedly with the number of uploaded files and the number of outcomes.
        patience: maximum seconds without a new outcome.

    Returns:
        `source` to plain item.

    Raises:
        OperatorError: an upload fails, the local AWS ends, or there is no new outcome for too long.
    """
    waiting = deque(stack.source(upload.key) for upload in uploads)
    found: dict[str, Item] = {}
    last_progress = time.monotonic()
    with _uploading(stack, uploads) as futures:
        while waiting:
            uploaded = _count_done(aws, futures)
            new = _poll(stack, waiting)
            found |= new
            watch(uploaded, len(found))
            now = time.monotonic()
            last_progress = now if new or uploaded < len(uploads) else last_progress
            if now - last_progress > patience:
                raise aws.failure(f"no new outcome for {patience:.0f} s; {_missing(stack, waiting, len(uploads))}")
            if len(new) < _POLLED_KEYS // 2:
                time.sleep(_POLL_SECONDS)
    return found


@contextmanager
def _uploading(stack: Stack, uploads: Sequence[Upload]) -> Iterator[list["Future[None]"]]:
    executor = ThreadPoolExecutor(_UPLOADERS, thread_name_prefix="upload")
    try:
        yield [executor.submit(_upload, stack, upload) for upload in uploads]
    finally:
        executor.shutdown(cancel_futures=True)


def _upload(stack: Stack, upload: Upload) -> None:
    with upload.path.open("rb") as body:
        stack.s3.put_object(Bucket=stack.uploads_bucket, Key=upload.key, Body=body)


def _count_done(aws: LocalAws, futures: Sequence["Future[None]"]) -> int:
    """The number of finished uploads.

    Raises:
        OperatorError: an upload failed, or the local AWS has ended.
    """
    aws.check_alive()
    done = [future for future in futures if future.done()]
    for future in done:
        error = future.exception()
        if error is not None:
            raise aws.failure(f"an upload failed: {error}")
    return len(done)


def _poll(stack: Stack, waiting: deque[str]) -> dict[str, Item]:
    """Read the items of the first waiting sources; sources without an item move to the end of `waiting`."""
    sources = [waiting.popleft() for _ in range(min(_POLLED_KEYS, len(waiting)))]
    found: dict[str, Item] = {}
    for start in range(0, len(sources), _BATCH):
        found |= _items(stack, sources[start : start + _BATCH])
    waiting.extend(source for source in sources if source not in found)
    return found


def _items(stack: Stack, sources: Sequence[str]) -> dict[str, Item]:
    request: BatchGetItemInputTypeDef = {
        "RequestItems": {
            stack.table: {"Keys": [{"source": {"S": source}} for source in sources], "ConsistentRead": True}
        }
    }
    answer = stack.dynamodb.batch_get_item(**request)  # unprocessed keys are read again by a later poll
    items = [plain(item) for item in answer["Responses"].get(stack.table, [])]
    return {item["source"]: item for item in items}


def _missing(stack: Stack, waiting: Sequence[str], total: int) -> str:
    attributes = stack.sqs.get_queue_attributes(
        QueueUrl=stack.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    names = sorted(source.removeprefix(stack.source("")) for source in waiting)
    return (
        f"{len(names)} of {total} images have none: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}; "
        f"dead letters: {attributes['ApproximateNumberOfMessages']}"
    )


def check_functions(aws: LocalAws, stack: Stack) -> None:
    """Invoke the functions with requests that change nothing, so that an error at their start is reported in one line.

    Raises:
        OperatorError: a function does not start; includes its error message.
    """
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.uploads_bucket}
    record = {"messageId": "start", "eventSource": "aws:sqs", "body": orjson.dumps(body).decode()}
    requests: list[tuple[str | None, object]] = [
        (stack.function, {"Records": [record]}),
        (stack.indexer, {"Records": []}),
        (stack.api, {}),
    ]
    with ThreadPoolExecutor(len(requests)) as executor:
        list(executor.map(lambda each: _check_function(aws, stack, *each), requests))


def _check_function(aws: LocalAws, stack: Stack, function: str | None, request: object) -> None:
    if function is None:
        return
    problem = ""
    for _ in range(_STARTS):
        answer = stack.lambda_.invoke(FunctionName=function, Payload=orjson.dumps(request))
        if not answer.get("FunctionError"):
            return
        error: dict[str, Any] = orjson.loads(answer["Payload"].read())
        problem = str(error.get("errorMessage", error))
        if _ENDED not in problem:
            break
    raise aws.failure(f"the function {function} does not start: {problem}")
