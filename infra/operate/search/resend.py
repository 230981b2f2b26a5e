"""Send objects to the function's queue, so that it reconciles item and JSON with each object."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from infra.operate.backfill.feed import SENDERS, QueueLimiter, RateLimiter, Sender, queue_depth
from infra.operate.search.uploads import Uploads
from infra.operate.stack import DeployedStack


def resend(stack: DeployedStack, sources: Sequence[str]) -> None:
    """Send objects of the uploads bucket.

    Raises:
        OperatorError: SQS does not accept a message.
    """
    if not sources:
        return
    uploads = Uploads.of(stack)
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as pool:
        limiter = QueueLimiter(None, lambda: queue_depth(stack), lambda _: None)
        Sender(stack, uploads.bucket, limiter, RateLimiter(None), pool).send([uploads.key_of(each) for each in sources])
