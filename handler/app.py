"""Cold start and entry point: event -> jobs -> outcomes -> answer."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from handler.aws.clients import make_clients
from handler.concurrency import map_concurrently
from handler.errors import DropvecError, RetryableError
from handler.log import log
from handler.metrics import Counts, Meter, count_files, count_reports
from handler.model.encoder import PORTABLE, load_encoder
from handler.outcomes import Outcome, Status
from handler.pipeline import Pipeline
from handler.results.keys import source_of
from handler.results.store import Store
from handler.settings import read_settings
from handler.timing import MIN_START_SECONDS, Deadline, LambdaContext
from handler.triggers.answers import Report, answer
from handler.triggers.events import Direct, Message, read_event


def start() -> Pipeline:
    """Make the function's parts from the environment; wrong settings and bundles fail here, before any work.

    Raises:
        SettingsError: a setting is missing or wrong.
        BundleError: the model bundle is absent or does not fit its `model.json`.
    """
    try:
        settings = read_settings(os.environ)
        encoder = load_encoder(settings.model_dir)
        clients = make_clients()
    except DropvecError:
        sys.tracebacklimit = 0  # the one line that says what to set is enough
        raise
    if encoder.graph == PORTABLE and encoder.spec.prepared:
        log({"level": "WARNING", "message": "no prepared graph fits this CPU and onnxruntime; cold starts are slow"})
    return Pipeline(settings, encoder, clients, Store(clients, settings))


_pipeline = start()
_meter = Meter(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "dropvec"))


def handler(event: object, context: LambdaContext | None = None) -> dict[str, Any] | None:
    """Answer one invocation.

    Args:
        event: a trigger's event or a direct request.
        context: Lambda's; it has the time that is left.

    Returns:
        A direct request: the response. SQS: `batchItemFailures`. S3 Batch Operations: a result for each task.
        Other triggers: None.

    Raises:
        DropvecError: Lambda should retry the event of S3, SNS or EventBridge; the rest of it is done.
    """
    return serve(event, context, _pipeline, _meter)


def serve(event: object, context: LambdaContext | None, pipeline: Pipeline, meter: Meter) -> dict[str, Any] | None:
    """Answer one invocation with these parts; see `handler`."""
    deadline = Deadline.from_context(context)
    request_id = context.aws_request_id if context else None
    work = read_event(event)
    if isinstance(work, Direct):
        from handler.direct import respond  # noqa: PLC0415 - pydantic is imported only for direct requests

        response = respond(work.body, pipeline, deadline, request_id)
        if response["status"] == "error":
            details = {name: response[name] for name in ("error_code", "error")}
            log({"level": "ERROR", "request_id": request_id, "message": "direct request failed", **details})
        _log_metrics(pipeline, meter, count_files(response))
        return response

    def report(message: Message) -> Report:
        if message is not work.messages[0] and deadline.left() < MIN_START_SECONDS:
            return Report(
                message, (), RetryableError("too little time is left in this invocation to begin this message")
            )
        return _run(message, pipeline, deadline, request_id)

    in_order = any(message.group is not None for message in work.messages)
    reports = _in_order(work.messages, report) if in_order else map_concurrently(report, work.messages)
    _log_metrics(pipeline, meter, count_reports(reports))
    if failed := [(one.message.receipt, one.error) for one in reports if one.error and one.message.receipt]:
        from handler.triggers.backoff import deliver_soon  # noqa: PLC0415 - imported only after a failure

        deliver_soon(pipeline.clients, failed, deadline)
    return answer(work, reports)


def _log_metrics(pipeline: Pipeline, meter: Meter, counts: Counts) -> None:
    if pipeline.settings.metrics:
        for line in meter.lines(counts):
            log(line)


def _in_order(messages: Sequence[Message], report: Callable[[Message], Report]) -> list[Report]:
    """Process a FIFO queue's messages one by one; after a failure the rest of its group stays in the queue."""
    failed_groups: set[str | None] = set()
    reports = []
    for message in messages:
        if message.group in failed_groups:
            error = RetryableError("an earlier message of the same group failed and is delivered again first")
            reports.append(Report(message, (), error))
            continue
        reports.append(report(message))
        if reports[-1].error is not None:
            failed_groups.add(message.group)
    return reports


def _run(message: Message, pipeline: Pipeline, deadline: Deadline, request_id: str | None) -> Report:
    if message.error is not None:
        log({"level": "ERROR", "request_id": request_id, "message_id": message.id, **_error_fields(message.error)})
    outcomes = []
    for job in message.jobs:
        outcome = pipeline.process(job, deadline)
        log(_line(outcome, request_id))
        outcomes.append(outcome)
    failed = (outcome.error for outcome in outcomes if outcome.status is Status.FAILED)
    return Report(message, tuple(outcomes), message.error or next(failed, None))


def _line(outcome: Outcome, request_id: str | None) -> dict[str, Any]:
    return {
        "level": "ERROR" if outcome.status is Status.FAILED else "INFO",
        "request_id": request_id,
        "event_id": outcome.job.event_id,
        "source": source_of(outcome.job.bucket, outcome.job.key),
        "outcome": outcome.status,
        **_error_fields(outcome.error),
        "timings_ms": outcome.timings_ms,
    }


def _error_fields(error: DropvecError | None) -> dict[str, str]:
    return {} if error is None else {"error_code": error.code, "error": str(error)}
