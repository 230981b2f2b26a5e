"""Cold start, and the entry point: event -> work -> outcomes -> what each trigger wants to hear."""

import os
import sys
from typing import Any

import orjson

from handler.aws import make_clients
from handler.errors import DropvecError
from handler.events import Direct, Message, Trigger, Work, read_event
from handler.model import load_encoder
from handler.pipeline import Ending, Outcome, Pipeline
from handler.record import source_of
from handler.settings import read_settings
from handler.store import Store
from handler.timing import Deadline, LambdaContext


def start() -> Pipeline:
    """Put the parts together from the environment; all that can be wrong with it shows here, before any work.

    Raises:
        SettingsError: a setting is missing or wrong.
        BundleError: the model bundle is absent or does not fit its `model.json`.
    """
    try:
        settings = read_settings(os.environ)
        encoder = load_encoder(settings.model_dir)
        clients = make_clients()
    except DropvecError:
        sys.tracebacklimit = 0  # whoever deploys needs the one line that says what to set, not where it was noticed
        raise
    return Pipeline(settings, encoder, clients, Store(clients, settings))


_pipeline = start()


def handler(event: object, context: LambdaContext | None = None) -> dict[str, Any] | None:
    """Answer one invocation.

    Args:
        event: what Lambda passes: a trigger's event or a direct request.
        context: Lambda's; gives the time left.

    Returns:
        A direct request: the response. SQS: `batchItemFailures`. Other triggers: None.

    Raises:
        UnknownEventError: the event is of no shape that dropvec takes.
        RetryableError: S3 should send the event again; the rest of it is done.
    """
    deadline = Deadline.of(context)
    request_id = context.aws_request_id if context else None
    work = read_event(event)
    if isinstance(work, Direct):
        from handler.direct import respond  # noqa: PLC0415 - pydantic is not part of anybody else's cold start

        return respond(work.body, _pipeline, deadline)
    failures: dict[str, DropvecError] = {}
    for message in work.messages:
        error = _run(message, deadline, request_id)
        if error is not None:
            failures[message.id] = error
    return _answer(work, failures)


def _run(message: Message, deadline: Deadline, request_id: str | None) -> DropvecError | None:
    """Do all of a message's jobs; the first error that makes it worth sending again, if any."""
    error: DropvecError | None = message.error
    if error is not None:
        _log({"level": "ERROR", "request_id": request_id, "message_id": message.id, **_fault(error)})
    for job in message.jobs:
        outcome = _pipeline.process(job, deadline)
        _log(_line(outcome, request_id))
        if outcome.ending is Ending.FAILED:
            error = error or outcome.error
    return error


def _answer(work: Work, failures: dict[str, DropvecError]) -> dict[str, Any] | None:
    if work.trigger is Trigger.SQS:
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failures]}
    for error in failures.values():
        raise error
    return None


def _line(outcome: Outcome, request_id: str | None) -> dict[str, Any]:
    return {
        "level": "ERROR" if outcome.ending is Ending.FAILED else "INFO",
        "request_id": request_id,
        "source": source_of(outcome.job.bucket, outcome.job.key),
        "outcome": outcome.ending,
        **_fault(outcome.error),
        "timings_ms": outcome.timings_ms,
    }


def _fault(error: DropvecError | None) -> dict[str, str]:
    return {} if error is None else {"error_code": error.code, "error": str(error)}


def _log(line: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
