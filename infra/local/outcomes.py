"""Upload files, and see what becomes of them in the table."""

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
_LOOK_SECONDS = 0.2
_LOOK_AT = 200  # keys asked for at a time; all of them would keep the table busier than the function does
_BATCH = 100  # DynamoDB's own limit for a batch of keys

Watch = Callable[[int, int], None]


def upload_and_await(
    aws: LocalAws, stack: Stack, uploads: Sequence[Upload], watch: Watch, patience: float = STALL_SECONDS
) -> dict[str, Item]:
    """Upload all files, and wait until each has an item.

    Args:
        aws: where the stack runs.
        stack: whose uploads bucket they go to.
        uploads: distinct keys.
        watch: told now and then how many are uploaded, and how many have an outcome.
        patience: seconds to wait for news.

    Returns:
        `source` to plain item.

    Raises:
        OperatorError: an upload fails, the local AWS ends, or there is no news for too long.
    """
    waiting = deque(stack.source(upload.key) for upload in uploads)
    found: dict[str, Item] = {}
    last_news = time.monotonic()
    with _uploading(stack, uploads) as futures:
        while waiting:
            uploaded = _count_done(aws, futures)
            news = _look(stack, waiting)
            found |= news
            watch(uploaded, len(found))
            now = time.monotonic()
            last_news = now if news or uploaded < len(uploads) else last_news
            if now - last_news > patience:
                raise aws.failure(f"no new outcome for {patience:.0f} s; {_missing(stack, waiting, len(uploads))}")
            if len(news) < _LOOK_AT // 2:
                time.sleep(_LOOK_SECONDS)
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
    """How many uploads are done.

    Raises:
        OperatorError: one failed, or the local AWS has ended.
    """
    aws.check_alive()
    done = [future for future in futures if future.done()]
    for future in done:
        error = future.exception()
        if error is not None:
            raise aws.failure(f"an upload failed: {error}")
    return len(done)


def _look(stack: Stack, waiting: deque[str]) -> dict[str, Item]:
    """Ask for the items of the next few that wait; those without one go to the end of the line."""
    asked = [waiting.popleft() for _ in range(min(_LOOK_AT, len(waiting)))]
    found: dict[str, Item] = {}
    for start in range(0, len(asked), _BATCH):
        found |= _items(stack, asked[start : start + _BATCH])
    waiting.extend(source for source in asked if source not in found)
    return found


def _items(stack: Stack, sources: Sequence[str]) -> dict[str, Item]:
    request: BatchGetItemInputTypeDef = {
        "RequestItems": {
            stack.table: {"Keys": [{"source": {"S": source}} for source in sources], "ConsistentRead": True}
        }
    }
    answer = stack.dynamodb.batch_get_item(**request)  # keys it leaves unprocessed simply stay in line
    items = [plain(item) for item in answer["Responses"].get(stack.table, [])]
    return {item["source"]: item for item in items}


def _missing(stack: Stack, waiting: Sequence[str], total: int) -> str:
    attributes = stack.sqs.get_queue_attributes(
        QueueUrl=stack.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    names = sorted(source.removeprefix(stack.source("")) for source in waiting)
    return (
        f"{len(names)} of {total} have none: {', '.join(names[:3])}"
        f"{', …' if len(names) > 3 else ''}; in the dead-letter queue: {attributes['ApproximateNumberOfMessages']}"
    )


def check_function(aws: LocalAws, stack: Stack) -> None:
    """Send the function what S3 sends to a new queue, so that a fault of its start shows now, and in one line.

    Raises:
        OperatorError: with the function's own words.
    """
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.uploads_bucket}
    record = {"messageId": "start", "eventSource": "aws:sqs", "body": orjson.dumps(body).decode()}
    answer = stack.lambda_.invoke(FunctionName=stack.function, Payload=orjson.dumps({"Records": [record]}))
    if answer.get("FunctionError"):
        said: dict[str, Any] = orjson.loads(answer["Payload"].read())
        raise aws.failure(f"the function does not start: {said.get('errorMessage', said)}")
