"""Metrics for CloudWatch, and the id by which a change is found in the JSON, the item and the log."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import metrics
from handler.errors import AccessDeniedError, RejectedError, Rejection
from handler.jobs import Job
from handler.metrics import MAX_VALUES, Meter, count_files, count_reports
from handler.outcomes import Outcome, Status
from handler.triggers.answers import Report
from handler.triggers.events import Message
from tests.support.pictures import encoded, picture
from tests.unit.conftest import UPLOADS, Serve, World

PHOTO = encoded(picture(64, 48))
STAGES = {"FetchMs", "DecodeMs", "InferenceMs", "WriteMs", "TotalMs"}
COUNTS = {"Images", "Rejected", "Failed", "Deleted", "Unchanged", "ColdStarts"}


class Context:
    aws_request_id = "r-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def record(key: str, **more: Any) -> dict[str, Any]:
    entity = {"bucket": {"name": UPLOADS}, "object": {"key": key, "sequencer": "01"}}
    return {"eventSource": "aws:s3", "eventVersion": "2.6", "s3": entity, **more}


def queue(*bodies: Any) -> dict[str, Any]:
    source = {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:1:q"}
    return {"Records": [{**source, "messageId": f"m{n}", "body": json.dumps(body)} for n, body in enumerate(bodies)]}


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def metrics_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The metrics among the lines, by name; each must follow CloudWatch's specification."""
    found = []
    for line in lines:
        if "_aws" in line:
            (directive,) = line["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "dropvec"
            (dimensions,) = directive["Dimensions"]
            assert all(isinstance(line[name], str) for name in dimensions)
            assert 1_700_000_000_000 < line["_aws"]["Timestamp"] < 10_000_000_000_000
            names = [metric["Name"] for metric in directive["Metrics"]]
            assert len(names) <= 100
            assert {*line} == {"_aws", *dimensions, *names}
            found.append({name: line[name] for name in [*dimensions, *names]})
    return found


def test_a_batch_is_one_line_and_one_more_for_each_code(
    serve: Serve, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put("a.png", PHOTO)
    world.put("b.png", PHOTO)
    world.put("bad.png", PHOTO[:90])
    bodies = [{"Records": [record(key)]} for key in ("a.png", "b.png", "bad.png", "gone.png", "folder/")]
    world.put("folder/", b"")
    answer = serve(queue(*bodies, "nonsense"), Context(), world.pipeline)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m5"}]}
    all_, *codes = metrics_of(printed(capsys))
    assert {name: all_[name] for name in COUNTS} == {
        "Images": 2, "Rejected": 1, "Failed": 1, "Deleted": 1, "Unchanged": 1, "ColdStarts": 1,
    }  # fmt: skip
    assert [len(all_[name]) for name in STAGES] == [2] * 5
    assert all(value > 0 for name in STAGES for value in all_[name])
    function = {"FunctionName": "dropvec"}
    assert codes == [
        {**function, "ErrorCode": "corrupt_image", "Rejected": 1},
        {**function, "ErrorCode": "unknown_event", "Failed": 1},
    ]


def test_an_event_that_raises_is_counted_first(serve: Serve, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="unsupported version of an S3 notification"):
        serve({"Records": [record("a.png", eventVersion="3.0")]}, Context(), world.pipeline)
    assert [line["Failed"] for line in metrics_of(printed(capsys))] == [1, 1]


def test_a_direct_request_counts_its_files(serve: Serve, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put("a.png", PHOTO)
    paths = [f"s3://{UPLOADS}/a.png", f"s3://{UPLOADS}/none.png"]
    serve({"input_paths": paths}, Context(), world.pipeline)
    serve({"texts": 1}, Context(), world.pipeline)
    serve({"check": True}, Context(), world.pipeline)
    lines = metrics_of(printed(capsys))
    assert [(line.get("Images"), line.get("Rejected"), line.get("ErrorCode")) for line in lines] == [
        (1, 1, None),
        (None, 1, "not_found"),
        (0, 1, None),
        (None, 1, "invalid_request"),
        (0, 0, None),
    ]


def test_a_file_that_may_be_asked_for_again_has_failed() -> None:
    codes = [None, "corrupt_image", "access_denied", "unavailable", "internal", "access_denied"]
    counts = count_files({"status": "ok", "task_output": {"files": [{"error_code": code} for code in codes]}})
    assert (counts.embedded, counts.rejected) == (1, {"corrupt_image": 1})
    assert counts.failed == {"access_denied": 2, "unavailable": 1, "internal": 1}


def test_only_the_first_invocation_is_a_cold_start() -> None:
    meter = Meter("f")
    assert [next(meter.lines(count_reports([])))["ColdStarts"] for _ in range(3)] == [1, 0, 0]


def test_metrics_can_be_turned_off(serve: Serve, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put("a.png", PHOTO)
    quiet = replace(world.pipeline, settings=replace(world.pipeline.settings, metrics=False))
    serve(queue({"Records": [record("a.png")]}), Context(), quiet)
    lines = printed(capsys)
    assert [line["outcome"] for line in lines] == ["success"]
    assert metrics_of(lines) == []


ERRORS = {
    Status.SUCCESS: None,
    Status.REJECTED: RejectedError(Rejection.CORRUPT_IMAGE, "damaged"),
    Status.FAILED: AccessDeniedError("no"),
    Status.DELETED: None,
    Status.SUPERSEDED: None,
    Status.IGNORED: None,
}


def outcomes(statuses: list[Status]) -> Iterator[Outcome]:
    for number, status in enumerate(statuses):
        laps = {"fetch": 1.0, "decode": 2.0, "preprocess": 3.0, "embed": 4.0, "write": 5.0, "commit": 6.0}
        yield Outcome(Job("b", str(number), None), status, ERRORS[status], None, laps | {"total": float(number)})


@given(st.lists(st.sampled_from(list(Status)), max_size=450))
def test_nothing_is_counted_twice_or_left_out(statuses: list[Status]) -> None:
    found = tuple(outcomes(statuses))
    error = next((one.error for one in found if one.status is Status.FAILED), None)
    report = Report(Message("m", tuple(one.job for one in found)), found, error)
    lines = list(Meter("f").lines(count_reports([report])))
    assert metrics_of(lines)
    of_all = [line for line in lines if metrics.CODE not in line]
    values = [line.get("TotalMs", []) for line in of_all]
    assert all(len(each) <= MAX_VALUES for each in values)
    successes = [float(n) for n, status in enumerate(statuses) if status is Status.SUCCESS]
    assert [value for each in values for value in each] == successes
    assert {v for line in of_all for v in line.get("DecodeMs", [])} <= {5.0}
    assert {v for line in of_all for v in line.get("WriteMs", [])} <= {11.0}
    counted = ["Images", "Rejected", "Failed", "Deleted", "Unchanged"]
    assert sum(of_all[0][name] for name in counted) == len(statuses)
    by_code = {line[metrics.CODE]: line for line in lines if metrics.CODE in line}
    assert by_code.get("corrupt_image", {}).get("Rejected", 0) == statuses.count(Status.REJECTED)
    assert by_code.get("access_denied", {}).get("Failed", 0) == statuses.count(Status.FAILED)


# The id by which a change is found again.

PUT_BY = {"responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"}}
EVENTBRIDGE = {
    "id": "an-event",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": UPLOADS}, "object": {"key": "a.png"}, "request-id": "C3D13FE58DE4C810"},
}
BATCH = {
    "invocationSchemaVersion": "1.0",
    "tasks": [{"taskId": "task-1", "s3BucketArn": f"arn:aws:s3:::{UPLOADS}", "s3Key": "a.png"}],
}


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"Records": [record("a.png", **PUT_BY)]}, "C3D13FE58DE4C810"),
        (queue({"Records": [record("a.png", **PUT_BY)]}), "C3D13FE58DE4C810"),
        (queue({"Records": [record("a.png", responseElements={})]}), "m0"),
        (queue({"Records": [record("a.png", responseElements={"x-amz-request-id": "x\n" * 9})]}), "m0"),
        (EVENTBRIDGE, "C3D13FE58DE4C810"),
        (EVENTBRIDGE | {"detail": {**EVENTBRIDGE["detail"], "request-id": None}}, "an-event"),  # type: ignore[dict-item]
        (BATCH, "task-1"),
        ({"input_paths": [f"s3://{UPLOADS}/a.png"], "store": True}, "r-1"),
    ],
)
def test_event_json_item_and_log_name_the_same_change(
    serve: Serve, world: World, capsys: pytest.CaptureFixture[str], event: dict[str, Any], name: str
) -> None:
    world.put("a.png", PHOTO)
    serve(event, Context(), world.pipeline)
    (key,) = world.results()
    assert json.loads(world.result(key))["event_id"] == name
    assert world.item("a.png")["event_id"] == name
    logged = [(line["event_id"], line["request_id"]) for line in printed(capsys) if "outcome" in line]
    assert logged == ([] if "input_paths" in event else [(name, "r-1")])


def test_a_tombstone_has_the_id_of_its_deletion(serve: Serve, world: World) -> None:
    serve({"Records": [record("a.png", **PUT_BY)]}, Context(), world.pipeline)
    assert (world.item("a.png")["status"], world.item("a.png")["event_id"]) == ("deleted", "C3D13FE58DE4C810")


def test_a_change_without_an_id_is_embedded(serve: Serve, world: World) -> None:
    world.put("a.png", PHOTO)
    serve({"Records": [record("a.png")]}, Context(), world.pipeline)
    assert world.item("a.png")["status"] == "success"
    assert "event_id" not in world.item("a.png")
