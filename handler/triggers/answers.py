"""Outcomes of an event's messages -> the answer that its trigger expects."""

from typing import Any

from handler.errors import DropvecError, UnknownEventError
from handler.frozen import frozen
from handler.outcomes import Outcome, Status
from handler.triggers.events import Message, Trigger, Work

# S3 Batch Operations cuts a result in its report here.
_MAX_RESULT_STRING = 1024


@frozen
class Report:
    """The result of one message.

    Attributes:
        message: the message.
        outcomes: one for each job that was tried.
        error: why the message must be delivered again; None otherwise.
    """

    message: Message
    outcomes: tuple[Outcome, ...]
    error: DropvecError | None


def answer(work: Work, reports: list[Report]) -> dict[str, Any] | None:
    """Answer a trigger.

    Returns:
        SQS: the messages that stay in the queue. S3 Batch Operations: a result for each task. Otherwise None.

    Raises:
        DropvecError: the first error, for a trigger that can only retry the whole event.
    """
    if work.trigger is Trigger.SQS:
        failed = dict.fromkeys(report.message.id for report in reports if report.error)
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}
    if work.trigger is Trigger.S3_BATCH:
        return {
            "invocationSchemaVersion": work.schema_version,
            "treatMissingKeysAs": "TemporaryFailure",
            "invocationId": work.invocation_id,
            "results": [_task_result(report) for report in reports],
        }
    for report in reports:
        if report.error is not None:
            raise report.error
    return None


def _task_result(report: Report) -> dict[str, str]:
    if report.error is not None:
        code = "PermanentFailure" if isinstance(report.error, UnknownEventError) else "TemporaryFailure"
        text = f"{report.error.code}: {report.error}"
    else:
        (outcome,) = report.outcomes
        code = "PermanentFailure" if outcome.status is Status.REJECTED else "Succeeded"
        text = f"{outcome.error.code}: {outcome.error}" if outcome.error else outcome.status.value
    return {"taskId": report.message.id, "resultCode": code, "resultString": text[:_MAX_RESULT_STRING]}
