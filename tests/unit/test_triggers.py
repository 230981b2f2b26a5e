"""Ten objects, one of them bad, through every trigger: nine succeed, and the answer is what the trigger expects."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce
from itertools import cycle
from typing import Any, cast
from urllib.parse import quote_plus

import pytest

from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3 import S3, ObjectResponse
from handler.errors import AccessDeniedError, DropvecError, UnknownEventError
from handler.pipeline import Pipeline
from tests.support.pictures import encoded, picture
from tests.unit.conftest import RESULTS, TABLE, UPLOADS, Serve, World

Event = dict[str, Any]
Object = tuple[str, str]  # bucket and key

PHOTO = encoded(picture(64, 48))
KEYS = [f"shop/{number} a+b%2B.png" for number in range(10)]
BAD = KEYS[3]
GOOD = [key for key in KEYS if key != BAD]
TEN = [(UPLOADS, key) for key in KEYS]


# Events, one builder for each trigger: objects -> invocations.


def record(place: Object, sequencer: str = "0A") -> Event:
    bucket, key = place
    thing = {"key": quote_plus(key, safe="/"), "sequencer": sequencer}
    return {"eventVersion": "2.6", "eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": thing}}


def notification(*places: Object) -> Event:
    return {"Records": [record(place) for place in places]}


def created(place: Object) -> Event:
    bucket, key = place
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "0A"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def envelope(message: object) -> Event:
    return {"Type": "Notification", "MessageId": "n", "Message": json.dumps(message)}


def set_aside(event: Event) -> Event:
    """What Lambda sends to the dead-letter queue after the last attempt of an event."""
    context = {"requestId": "r-0", "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    return {"version": "1.0", "requestContext": context, "requestPayload": event, "responseContext": {}}


def queue(bodies: Iterable[object], *, name: str = "uploads", groups: Iterable[str] = ()) -> Event:
    """One batch of a queue; its messages are m0, m1 and so on."""
    records: list[Event] = [
        {
            "messageId": f"m{number}",
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": {"ApproximateReceiveCount": "1"},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{name}",
        }
        for number, body in enumerate(bodies)
    ]
    for message, group in zip(records, groups, strict=False):
        message["attributes"]["MessageGroupId"] = group
    return {"Records": records}


def s3(places: list[Object]) -> list[Event]:
    return [notification(*places)]


def sns(places: list[Object]) -> list[Event]:
    return [{"Records": [{"EventSource": "aws:sns", "Sns": envelope(notification(place))} for place in places]}]


def eventbridge(places: list[Object]) -> list[Event]:
    return [created(place) for place in places]


def sqs(places: list[Object]) -> list[Event]:
    return [queue(notification(place) for place in places)]


def sns_in_sqs(places: list[Object]) -> list[Event]:
    return [queue(envelope(notification(place)) for place in places)]


def eventbridge_in_sqs(places: list[Object]) -> list[Event]:
    return [queue(created(place) for place in places)]


def eventbridge_in_sns_in_sqs(places: list[Object]) -> list[Event]:
    return [queue(envelope(created(place)) for place in places)]


def set_aside_in_sqs(places: list[Object]) -> list[Event]:
    builders = cycle([sns, s3, eventbridge])
    return [queue(set_aside(event) for place, build in zip(places, builders, strict=False) for event in build([place]))]


def batch_1(places: list[Object]) -> list[Event]:
    tasks = [
        {"taskId": f"t{number}", "s3BucketArn": f"arn:aws:s3:::{bucket}", "s3Key": quote_plus(key), "s3VersionId": "1"}
        for number, (bucket, key) in enumerate(places)
    ]
    return [{"invocationSchemaVersion": "1.0", "invocationId": "i", "job": {"id": "j"}, "tasks": tasks}]


def batch_2(places: list[Object]) -> list[Event]:
    tasks = [
        {"taskId": f"t{number}", "s3Bucket": bucket, "s3Key": quote_plus(key), "s3VersionId": None}
        for number, (bucket, key) in enumerate(places)
    ]
    job = {"id": "j", "userArguments": {"campaign": "autumn"}}
    return [{"invocationSchemaVersion": "2.0", "invocationId": "i", "job": job, "tasks": tasks}]


Builder = Callable[[list[Object]], list[Event]]
RAISING: list[Builder] = [s3, sns, eventbridge]
QUEUES: list[Builder] = [sqs, sns_in_sqs, eventbridge_in_sqs, eventbridge_in_sns_in_sqs, set_aside_in_sqs]
BATCHES: list[Builder] = [batch_1, batch_2]


# The function's parts.


class Context:
    """Lambda's context, with some time left."""

    aws_request_id = "r-1"

    def __init__(self, milliseconds: int = 60_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


class RefusingS3:
    """An S3 that refuses to return some keys."""

    def __init__(self, s3: S3, keys: Iterable[str], code: str) -> None:
        self._s3 = s3
        self._keys = frozenset(keys)
        self._code = code

    def get_object(self, bucket: str, key: str) -> ObjectResponse:
        if key in self._keys:
            raise ServiceError("GetObject", 403, self._code, "no", {})
        return self._s3.get_object(bucket, key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


def refusing(pipeline: Pipeline, *keys: str, code: str = "AccessDenied") -> Pipeline:
    """The same pipeline with an S3 that refuses to return these keys."""
    s3 = RefusingS3(pipeline.clients.s3, keys, code)
    return replace(pipeline, clients=pipeline.clients._replace(s3=cast("S3", s3)))


@pytest.fixture
def ten(world: World) -> World:
    """Ten photos."""
    for key in KEYS:
        world.put(key, PHOTO)
    return world


@pytest.fixture
def spoilt(ten: World) -> World:
    """Ten photos, one of them cut off."""
    ten.put(BAD, PHOTO[:90])
    return ten


def statuses(world: World, keys: Iterable[str]) -> list[str | None]:
    return [world.item(key).get("status") for key in keys]


def stored(world: World) -> int:
    return world.state.operator.dynamodb.scan(TableName=TABLE)["Count"]


def failures(*names: str) -> Event:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


# One corrupt file among ten: recorded, never retried.


@pytest.mark.parametrize("build", RAISING)
def test_corrupt_file_does_not_raise(serve: Serve, spoilt: World, build: Builder) -> None:
    for event in build(TEN):
        assert serve(event, Context(), spoilt.pipeline) is None
    assert statuses(spoilt, GOOD) == ["success"] * 9
    assert (spoilt.item(BAD)["status"], spoilt.item(BAD)["error_code"]) == ("error", "corrupt_image")


@pytest.mark.parametrize("build", QUEUES)
def test_corrupt_file_is_not_kept_in_the_queue(serve: Serve, spoilt: World, build: Builder) -> None:
    (event,) = build(TEN)
    assert serve(event, Context(), spoilt.pipeline) == failures()
    assert statuses(spoilt, GOOD) == ["success"] * 9
    assert (spoilt.item(BAD)["status"], spoilt.item(BAD)["error_code"]) == ("error", "corrupt_image")


@pytest.mark.parametrize("build", BATCHES)
def test_corrupt_file_is_a_permanent_failure_of_its_task(serve: Serve, spoilt: World, build: Builder) -> None:
    (event,) = build(TEN)
    answer = serve(event, Context(), spoilt.pipeline)
    assert answer is not None
    assert answer["invocationSchemaVersion"] == event["invocationSchemaVersion"]
    assert answer["invocationId"] == "i"
    assert [result["taskId"] for result in answer["results"]] == [f"t{number}" for number in range(10)]
    codes = [result["resultCode"] for result in answer["results"]]
    assert codes == ["Succeeded"] * 3 + ["PermanentFailure"] + ["Succeeded"] * 6
    assert answer["results"][3]["resultString"].startswith("corrupt_image: ")
    assert statuses(spoilt, GOOD) == ["success"] * 9
    assert spoilt.item(BAD)["error_code"] == "corrupt_image"


@pytest.mark.parametrize("store", [True, False])
def test_corrupt_file_is_its_own_error_in_a_direct_request(serve: Serve, spoilt: World, store: bool) -> None:
    request = {"input_paths": [f"s3://{UPLOADS}/{key}" for key in KEYS], "store": store}
    answer = serve(request, Context(), spoilt.pipeline)
    assert answer is not None
    files = answer["task_output"]["files"]
    assert [file["error_code"] for file in files] == [None] * 3 + ["corrupt_image"] + [None] * 6
    assert [file["status"] for file in files] == ["success"] * 3 + ["error"] + ["success"] * 6
    assert stored(spoilt) == (10 if store else 0)


def test_corrupt_inline_image_is_its_own_error(serve: Serve, world: World) -> None:
    images = [{"id": key, "data": base64.b64encode(PHOTO[:90] if key == BAD else PHOTO).decode()} for key in KEYS]
    answer = serve({"images": images}, Context(), world.pipeline)
    assert answer is not None
    codes = {file["file_path"]: file["error_code"] for file in answer["task_output"]["files"]}
    assert codes == dict.fromkeys(GOOD) | {BAD: "corrupt_image"}


# One object among ten that may not be read: retried, alone where the trigger can do that.


@pytest.mark.parametrize("build", RAISING)
def test_forbidden_object_is_raised_after_the_rest_is_done(serve: Serve, ten: World, build: Builder) -> None:
    raised: list[DropvecError] = []
    for event in build(TEN):
        try:
            assert serve(event, Context(), refusing(ten.pipeline, BAD)) is None
        except DropvecError as error:
            raised.append(error)
    assert [type(error) for error in raised] == [AccessDeniedError]
    assert statuses(ten, GOOD) == ["success"] * 9
    assert ten.item(BAD) == {}


@pytest.mark.parametrize("build", QUEUES)
def test_forbidden_object_alone_stays_in_the_queue(serve: Serve, ten: World, build: Builder) -> None:
    (event,) = build(TEN)
    assert serve(event, Context(), refusing(ten.pipeline, BAD)) == failures("m3")
    assert statuses(ten, GOOD) == ["success"] * 9
    assert ten.item(BAD) == {}


@pytest.mark.parametrize("build", BATCHES)
def test_forbidden_object_is_a_temporary_failure_of_its_task(serve: Serve, ten: World, build: Builder) -> None:
    (event,) = build(TEN)
    answer = serve(event, Context(), refusing(ten.pipeline, BAD))
    assert answer is not None
    codes = [result["resultCode"] for result in answer["results"]]
    assert codes == ["Succeeded"] * 3 + ["TemporaryFailure"] + ["Succeeded"] * 6
    assert answer["results"][3]["resultString"].startswith("access_denied: ")
    assert statuses(ten, GOOD) == ["success"] * 9
    assert ten.item(BAD) == {}


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize(("code", "error_code"), [("AccessDenied", "access_denied"), ("SlowDown", "unavailable")])
def test_fault_is_its_own_error_in_a_direct_request(
    serve: Serve, ten: World, store: bool, code: str, error_code: str
) -> None:
    request = {"input_paths": [f"s3://{UPLOADS}/{key}" for key in KEYS], "store": store}
    answer = serve(request, Context(), refusing(ten.pipeline, BAD, code=code))
    assert answer is not None
    codes = [file["error_code"] for file in answer["task_output"]["files"]]
    assert codes == [None] * 3 + [error_code] + [None] * 6
    assert statuses(ten, GOOD) == (["success"] if store else [None]) * 9


def test_one_message_with_ten_records_is_kept_and_its_nine_are_done(serve: Serve, ten: World) -> None:
    event = queue([notification(*TEN), notification((UPLOADS, KEYS[0]))])
    assert serve(event, Context(), refusing(ten.pipeline, BAD)) == failures("m0")
    assert statuses(ten, GOOD) == ["success"] * 9


@pytest.mark.parametrize("build", [*RAISING, *QUEUES, *BATCHES])
def test_what_failed_succeeds_when_it_is_delivered_again(serve: Serve, ten: World, build: Builder) -> None:
    for event in build(TEN):
        try:
            serve(event, Context(), refusing(ten.pipeline, *KEYS))
        except AccessDeniedError:
            continue
    assert stored(ten) == 0
    for event in build(TEN):
        serve(event, Context(), ten.pipeline)
    assert statuses(ten, KEYS) == ["success"] * 10


@pytest.mark.parametrize("build", QUEUES)
def test_without_time_left_every_message_stays_in_the_queue(serve: Serve, ten: World, build: Builder) -> None:
    (event,) = build(TEN)
    assert serve(event, Context(milliseconds=0), ten.pipeline) == failures(*(f"m{number}" for number in range(10)))
    assert stored(ten) == 0


# Queues: groups, repeats, poison.

GROUPED = ["red/0", "red/1", "blue/0", "red/2", "blue/1", "red/3"]


def grouped(name: str) -> Event:
    bodies = [notification((UPLOADS, key)) for key in GROUPED]
    return queue(bodies, name=name, groups=[key.partition("/")[0] for key in GROUPED])


def test_fifo_queue_keeps_the_rest_of_a_failed_group(serve: Serve, world: World) -> None:
    for key in GROUPED:
        world.put(key, PHOTO)
    answer = serve(grouped("uploads.fifo"), Context(), refusing(world.pipeline, "red/1"))
    assert answer == failures("m1", "m3", "m5")
    assert statuses(world, GROUPED) == ["success", None, "success", None, "success", None]


def test_fifo_queue_continues_after_a_rejected_object(serve: Serve, world: World) -> None:
    for key in GROUPED:
        world.put(key, b"no image" if key == "red/1" else PHOTO)
    assert serve(grouped("uploads.fifo"), Context(), world.pipeline) == failures()
    assert statuses(world, GROUPED) == ["success", "error", "success", "success", "success", "success"]


def test_fifo_queue_keeps_the_group_of_a_poison_message(serve: Serve, world: World) -> None:
    world.put("red/1", PHOTO)
    world.put("blue/0", PHOTO)
    bodies = ["poison", notification((UPLOADS, "red/1")), notification((UPLOADS, "blue/0"))]
    event = queue(bodies, name="uploads.fifo", groups=["red", "red", "blue"])
    assert serve(event, Context(), world.pipeline) == failures("m0", "m1")
    assert statuses(world, ["red/1", "blue/0"]) == [None, "success"]


def test_groups_of_a_standard_queue_are_tenants_without_an_order(serve: Serve, world: World) -> None:
    for key in GROUPED:
        world.put(key, PHOTO)
    assert serve(grouped("uploads"), Context(), refusing(world.pipeline, "red/1")) == failures("m1")
    assert statuses(world, GROUPED) == ["success", None, "success", "success", "success", "success"]


def test_message_that_is_there_twice_is_reported_once(serve: Serve, ten: World) -> None:
    event = queue([notification((UPLOADS, BAD)), notification((UPLOADS, KEYS[0]))])
    event["Records"] += event["Records"]
    assert serve(event, Context(), refusing(ten.pipeline, BAD)) == failures("m0")
    assert statuses(ten, [BAD, KEYS[0]]) == [None, "success"]


def eventbridge_with(**thing: Any) -> Event:
    event = created((UPLOADS, "x"))
    event["detail"]["object"] = thing
    return event


POISON: dict[str, object] = {
    "nothing": "",
    "text": "please process shop/lost.jpg",
    "half of JSON": '{"Records": [',
    "a number": "3",
    "a list": "[]",
    "an empty object": {},
    "deep nesting": "[" * 100_000,
    "deep nesting in an object": '{"detail-type": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "records that are a number": {"Records": 1},
    "a record of another service": {"Records": [{"eventSource": "aws:kinesis"}]},
    "a source of half a character": '{"Records": [{"eventSource": "aws:\\ud800"}]}',
    "a source of many lines": {"Records": [{"eventSource": "aws:\nkinesis"}]},
    "another version": {"Records": [record((UPLOADS, "x")) | {"eventVersion": "3.0"}]},
    "no version": {"Records": [record((UPLOADS, "x")) | {"eventVersion": None}]},
    "a record without an object": {"Records": [record((UPLOADS, "x")) | {"s3": {"bucket": {"name": UPLOADS}}}]},
    "a key that is not UTF-8": {"Records": [record((UPLOADS, "x")) | {"s3": {"object": {"key": "%ff"}}}]},
    "a sequencer that is not hexadecimal": {"Records": [record((UPLOADS, KEYS[0]), sequencer="ZZ")]},
    "a key of half a character": json.dumps(eventbridge_with(key="\ud800")),
    "a key that is no text": eventbridge_with(key=7),
    "no key": eventbridge_with(size=7),
    "an event of another service": created((UPLOADS, "x")) | {"source": "aws.ec2"},
    "an envelope around text": {"Type": "Notification", "Message": "Hello"},
    "an envelope around nothing": {"Type": "Notification", "Message": ""},
    "envelopes in envelopes": envelope(envelope(envelope(notification((UPLOADS, KEYS[0]))))),
    "dead letters in dead letters": reduce(
        lambda event, _: set_aside(event), range(200), notification((UPLOADS, KEYS[0]))
    ),
    "records in records": reduce(lambda event, _: {"Records": [event]}, range(200), record((UPLOADS, KEYS[0]))),
    "a batch of a queue": queue([notification((UPLOADS, "x"))]),
    "a direct request": {"input_paths": [f"s3://{UPLOADS}/{KEYS[0]}"]},
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_alone_stays_in_the_queue(
    serve: Serve, ten: World, poison: object, capsys: pytest.CaptureFixture[str]
) -> None:
    event = queue([notification(TEN[1]), poison, created(TEN[2])])
    assert serve(event, Context(), ten.pipeline) == failures("m1")
    assert statuses(ten, KEYS[1:3]) == ["success"] * 2
    assert stored(ten) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (fault,) = [line for line in lines if line.get("level") == "ERROR"]
    assert (fault["message_id"], fault["error_code"]) == ("m1", "unknown_event")
    assert fault["error"].startswith(("unsupported ", "malformed "))
    assert len(fault["error"]) < 600
    assert "\n" not in fault["error"]


def test_a_message_whose_id_is_not_unicode_does_not_affect_its_batch(serve: Serve, ten: World) -> None:
    event = queue(["poison", notification(TEN[1])])
    event["Records"][0]["messageId"] = "\ud800"
    assert serve(event, Context(), ten.pipeline) == failures("\ud800")
    assert statuses(ten, KEYS[1:2]) == ["success"]


def test_unreadable_record_is_raised_after_the_rest_is_done(serve: Serve, ten: World) -> None:
    event = notification(*TEN)
    event["Records"].insert(4, {"eventSource": "aws:kinesis"})
    with pytest.raises(UnknownEventError, match="unsupported event: a record of aws:kinesis; expected S3"):
        serve(event, Context(), ten.pipeline)
    assert statuses(ten, KEYS) == ["success"] * 10


@pytest.mark.parametrize("build", BATCHES)
@pytest.mark.parametrize("damage", [{"s3Key": None}, {"s3Key": "%ff"}, {"s3Bucket": 7, "s3BucketArn": ""}])
def test_unreadable_task_is_a_permanent_failure(serve: Serve, ten: World, build: Builder, damage: Event) -> None:
    (event,) = build(TEN)
    event["tasks"][3] |= damage
    answer = serve(event, Context(), ten.pipeline)
    assert answer is not None
    codes = [result["resultCode"] for result in answer["results"]]
    assert codes == ["Succeeded"] * 3 + ["PermanentFailure"] + ["Succeeded"] * 6
    assert answer["results"][3]["resultString"].startswith("unknown_event: malformed task ")
    assert statuses(ten, GOOD) == ["success"] * 9


# Keys that are not images of a user: ignored without an error.

IGNORED = [(UPLOADS, "shop/"), (RESULTS, f"{UPLOADS}/a.png/0-0.json")]


@pytest.mark.parametrize("build", [*RAISING, *QUEUES, *BATCHES])
def test_folder_markers_and_results_leave_nothing(serve: Serve, world: World, build: Builder) -> None:
    world.put("shop/", b"")
    world.put(IGNORED[1][1], PHOTO, bucket=RESULTS)
    for event in build(IGNORED):
        answer = serve(event, Context(), world.pipeline)
        if build in RAISING:
            assert answer is None
        elif build in QUEUES:
            assert answer == failures()
        else:
            assert [result["resultCode"] for result in (answer or {})["results"]] == ["Succeeded"] * 2
    assert stored(world) == 0
    assert world.results() == [IGNORED[1][1]]


def test_folder_markers_and_results_are_not_stored_on_request(serve: Serve, ten: World) -> None:
    ten.put("shop/", b"")
    ten.put(IGNORED[1][1], PHOTO, bucket=RESULTS)
    paths = [f"s3://{bucket}/{key}" for bucket, key in [*IGNORED, TEN[0]]]
    answer = serve({"input_paths": paths, "store": True}, Context(), ten.pipeline)
    assert answer is not None
    codes = [file["error_code"] for file in answer["task_output"]["files"]]
    assert codes == ["invalid_request", "invalid_request", None]
    assert stored(ten) == 1


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": UPLOADS}


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (TEST_EVENT, None),
        ({"Records": [{"EventSource": "aws:sns", "Sns": envelope(TEST_EVENT)}]}, None),
        (queue([TEST_EVENT]), failures()),
        (queue([envelope(TEST_EVENT)]), failures()),
    ],
    ids=["alone", "SNS", "SQS", "SNS in SQS"],
)
def test_test_event_leaves_nothing(serve: Serve, world: World, event: Event, answer: Event | None) -> None:
    assert serve(event, Context(), world.pipeline) == answer
    assert stored(world) == 0
    assert world.results() == []
