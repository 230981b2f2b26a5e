"""Every trigger over HTTPS with IAM enforcement; and the role, which must allow exactly the actions that are needed.

The local AWS enforces the deployed role's policy on the function's calls of S3 and DynamoDB. It does not enforce it on
calls that AWS makes on behalf of the function: polling the queue, sending failed events to the dead-letter queue,
writing logs and traces. The tests make the SQS calls among them with the role's credentials. Logs and traces are only
checked with the policy simulator, because the emulator's log group ARNs differ from AWS's and it has no X-Ray. For the
KMS key the tests show that direct use is denied; that S3, SQS and DynamoDB use it is AWS's documented behaviour.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.stack import ARTIFACTS_BUCKET
from tests.end_to_end.strict import MODES, OTHER_BUCKET, Strict, client, strict_stack
from tests.end_to_end.test_uploads import item, result_keys
from tests.support.functions import unqualified
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

PHOTO = encoded(picture(64, 48))

FOR_THE_FUNCTION = [
    ("ReadUploads", "s3:GetObject"),
    ("KeepResults", "s3:GetObject"),
    ("KeepResults", "s3:PutObject"),
    ("KeepResults", "s3:DeleteObject"),
    ("TellMissingFromForbidden", "s3:ListBucket"),
    ("KeepItems", "dynamodb:GetItem"),
    ("KeepItems", "dynamodb:PutItem"),
]
FOR_POLLING = [
    ("TakeFromQueue", "sqs:ReceiveMessage"),
    ("TakeFromQueue", "sqs:DeleteMessage"),
    ("TakeFromQueue", "sqs:GetQueueAttributes"),
    ("TakeFromQueue", "sqs:ChangeMessageVisibility"),
]
FOR_LOGS_AND_TRACES = [
    ("WriteLogs", "logs:CreateLogStream"),
    ("WriteLogs", "logs:PutLogEvents"),
    ("Trace", "xray:PutTraceSegments"),
    ("Trace", "xray:PutTelemetryRecords"),
]
FOR_FAILED_EVENTS = ("SetFailedEventsAside", "sqs:SendMessage")
ONLY_WITH_A_KEY = [("UseTheKey", "kms:Decrypt"), ("UseTheKey", "kms:GenerateDataKey")]


@pytest.fixture(scope="module", params=MODES)
def strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    with strict_stack(tmp_path_factory.mktemp(request.param), request.param) as made:
        yield made


def status(strict: Strict, key: str) -> Any:
    found = item(strict.stack, key)
    return found.get("error_code", found.get("status"))


def test_uploads_overwrites_bad_images_and_deletions_are_processed(strict: Strict) -> None:
    stack, good, bad = strict.stack, strict.key("a red shoe+1"), strict.key("bad")
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=good, Body=PHOTO)
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=bad, Body=b"no image")
    assert eventually(lambda: [status(strict, good), status(strict, bad)] == ["success", "unsupported_format"])
    assert len(result_keys(stack, good)) == 1
    second = stack.s3.put_object(Bucket=stack.uploads_bucket, Key=good, Body=encoded(picture(50, 40)))
    assert eventually(lambda: item(stack, good)["etag"] == second["ETag"].strip('"'))
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key=good)
    assert eventually(lambda: status(strict, good) == "deleted" and not result_keys(stack, good))


def test_an_upload_that_keeps_failing_becomes_a_dead_letter(strict: Strict) -> None:
    stack, key = strict.stack, strict.key("unreadable")
    original = stack.sqs.get_queue_attributes(
        QueueUrl=stack.queue_url, AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
    )["Attributes"]
    redrive = {**json.loads(original["RedrivePolicy"]), "maxReceiveCount": 1}
    shortened = {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(redrive)}
    stack.sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes=shortened)  # type: ignore[arg-type]
    with strict.without("ReadUploads", "s3:GetObject"):
        stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=PHOTO)
        letter = dead_letter(strict, "unreadable")
    stack.sqs.set_queue_attributes(QueueUrl=stack.queue_url, Attributes=original)
    assert status(strict, key) is None
    if strict.mode == "direct":  # Lambda adds its context
        assert json.loads(letter)["requestContext"]["condition"] == "RetriesExhausted"


def dead_letter(strict: Strict, text: str) -> str:
    """Wait for a dead letter that contains a text."""
    stack, letters = strict.stack, list[str]()

    def is_found() -> bool:
        url = stack.dead_letter_queue_url
        answer = stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        letters.extend(message["Body"] for message in answer.get("Messages", []) if text in message["Body"])
        return bool(letters)

    assert eventually(is_found, 30)
    return letters[0]


def test_an_asynchronous_invocation_that_keeps_failing_becomes_a_dead_letter(strict: Strict) -> None:
    event = {"Records": [{"eventSource": "aws:nonsense"}]}
    strict.stack.lambda_.invoke(FunctionName=strict.stack.function, InvocationType="Event", Payload=json.dumps(event))
    letter = json.loads(dead_letter(strict, "aws:nonsense"))
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["requestPayload"] == event


def test_keys_outside_the_filters_are_not_readable(strict: Strict) -> None:
    stack = strict.stack
    for name in ("in/notes.txt", "elsewhere/a.png"):
        stack.s3.put_object(Bucket=stack.uploads_bucket, Key=name, Body=PHOTO)
        answer = invoke(strict, {"input_paths": [stack.source(name)]})["task_output"]["files"][0]
        assert answer["error_code"] == ("access_denied" if "KeyPrefix" in strict.parameters else None)
    after = strict.key("after")
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=after, Body=PHOTO)
    assert eventually(lambda: status(strict, after) == "success")
    if "KeyPrefix" in strict.parameters:
        assert [status(strict, name) for name in ("in/notes.txt", "elsewhere/a.png")] == [None, None]


def test_the_role_allows_exactly_the_listed_actions(strict: Strict) -> None:
    more = ONLY_WITH_A_KEY if "KmsKeyArn" in strict.parameters else []
    assert strict.actions() == {*FOR_THE_FUNCTION, *FOR_POLLING, *FOR_LOGS_AND_TRACES, FOR_FAILED_EVENTS, *more}


def invoke(strict: Strict, payload: object) -> Any:
    answer = strict.stack.lambda_.invoke(FunctionName=strict.stack.function, Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read())


def s3_record(strict: Strict, key: str, sequencer: str) -> dict[str, Any]:
    """A record of S3's notification about an object."""
    s3 = {"bucket": {"name": strict.stack.uploads_bucket}, "object": {"key": key, "sequencer": sequencer}}
    return {"eventSource": "aws:s3", "eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3}


def processes_event(strict: Strict, key: str, sequencer: str) -> bool:
    """Whether the function processes an event from the queue without a failure."""
    record = s3_record(strict, key, sequencer)
    message = {"messageId": "one", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}
    return bool(invoke(strict, {"Records": [message]}) == {"batchItemFailures": []})


def works(strict: Strict, key: str) -> bool:
    """Whether the function processes an upload, a direct request with `store`, a late event, and a deletion."""
    stack = strict.stack
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=PHOTO)
    if not processes_event(strict, key, "01"):
        return False
    stack.dynamodb.delete_item(TableName=stack.table, Key={"source": {"S": stack.source(key)}})
    paths = [stack.source(key), stack.source(strict.key("none"))]
    answer = invoke(strict, {"input_paths": paths, "store": True})
    if [file["error_code"] for file in answer["task_output"]["files"]] != [None, "not_found"]:
        return False
    if not processes_event(strict, key, "02"):
        return False
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key=key)
    is_processed = processes_event(strict, key, "F" * 16)
    return is_processed and status(strict, key) == "deleted" and not result_keys(stack, key)


def test_the_function_works_with_the_role(strict: Strict) -> None:
    with strict.without_notifications():
        assert works(strict, strict.key("enough"))


@pytest.mark.parametrize(("sid", "action"), FOR_THE_FUNCTION)
def test_the_function_needs_each_action(strict: Strict, sid: str, action: str) -> None:
    with strict.without_notifications(), strict.without(sid, action):
        assert not works(strict, strict.key(f"{sid}-{action}"))


def is_denied(call: Callable[[], object]) -> bool:
    """Whether a policy denies a call."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException", "403"}
    return False


@pytest.mark.parametrize(("sid", "action"), FOR_POLLING)
def test_polling_the_queue_needs_each_action(strict: Strict, sid: str, action: str) -> None:
    sqs, url = strict.client("sqs"), strict.stack.queue_url
    calls: dict[str, Callable[[], object]] = {
        "sqs:ReceiveMessage": lambda: sqs.receive_message(QueueUrl=url),
        "sqs:DeleteMessage": lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="none"),
        "sqs:GetQueueAttributes": lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
        "sqs:ChangeMessageVisibility": lambda: sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle="none", VisibilityTimeout=0
        ),
    }
    assert not is_denied(calls[action])
    with strict.without(sid, action):
        assert is_denied(calls[action])


def in_flight(strict: Strict) -> int:
    name: Any = "ApproximateNumberOfMessagesNotVisible"
    answer = strict.stack.sqs.get_queue_attributes(QueueUrl=strict.stack.queue_url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def test_a_failed_message_comes_back_long_before_its_visibility_timeout(strict: Strict) -> None:
    stack, key = strict.stack, strict.key("soon")
    body = {"Records": [s3_record(strict, key, "01")]}
    invoke(strict, {"check": True})  # starts the function, so that the next invocation is short
    with strict.without_notifications():
        with strict.without("ReadUploads", "s3:GetObject"):
            stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=PHOTO)
            stack.sqs.send_message(QueueUrl=stack.queue_url, MessageBody=json.dumps(body))
            assert eventually(lambda: in_flight(strict) == 1)
            time.sleep(3)  # the invocation ends
        assert status(strict, key) is None
        assert eventually(lambda: status(strict, key) == "success", 30)


def test_sending_failed_events_to_the_dead_letter_queue_needs_its_action(strict: Strict) -> None:
    sqs, url = strict.client("sqs"), strict.stack.dead_letter_queue_url

    def send() -> object:
        return sqs.send_message(QueueUrl=url, MessageBody="failed")

    assert not is_denied(send)
    with strict.without(*FOR_FAILED_EVENTS):
        assert is_denied(send)


@pytest.mark.parametrize(("sid", "action"), FOR_LOGS_AND_TRACES)
def test_logs_and_traces_need_each_action(strict: Strict, sid: str, action: str) -> None:
    resource = (
        "*" if sid == "Trace" else "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/dropvec:log-stream:a"
    )
    assert strict.is_allowed(action, resource)
    with strict.without(sid, action):
        assert not strict.is_allowed(action, resource)
    others = {"Trace": "xray:GetTraceSummaries", "WriteLogs": "logs:GetLogEvents"}
    assert not strict.is_allowed(others[sid], resource)
    assert sid == "Trace" or not strict.is_allowed(action, resource.replace("dropvec", "another"))


def test_all_other_calls_are_denied(strict: Strict) -> None:
    stack, key = strict.stack, strict.key("guarded")
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=PHOTO)
    s3, table, sqs = (strict.client(service) for service in ("s3", "dynamodb", "sqs"))
    uploads, results, source = stack.uploads_bucket, stack.results_bucket, {"source": {"S": stack.source(key)}}
    in_table = {"TableName": stack.table}
    dead = stack.dead_letter_queue_url
    calls: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket=uploads, Key=key, Body=b""),
        lambda: s3.delete_object(Bucket=uploads, Key=key),
        lambda: s3.put_bucket_policy(Bucket=uploads, Policy="{}"),
        lambda: s3.get_bucket_notification_configuration(Bucket=uploads),
        lambda: s3.delete_bucket(Bucket=results),
        lambda: s3.get_object(Bucket=ARTIFACTS_BUCKET, Key="function.zip"),
        lambda: s3.list_objects_v2(Bucket=OTHER_BUCKET),
        lambda: s3.put_object(Bucket=OTHER_BUCKET, Key=key, Body=b""),
        s3.list_buckets,
        lambda: table.delete_item(**in_table, Key=source),
        lambda: table.scan(**in_table),
        lambda: table.query(
            **in_table,
            KeyConditionExpression="#s = :s",
            ExpressionAttributeNames={"#s": "source"},
            ExpressionAttributeValues={":s": source["source"]},
        ),
        lambda: table.delete_table(**in_table),
        lambda: table.get_item(TableName="another", Key=source),
        lambda: sqs.send_message(QueueUrl=stack.queue_url, MessageBody="mine"),
        lambda: sqs.purge_queue(QueueUrl=stack.queue_url),
        lambda: sqs.receive_message(QueueUrl=dead),
        lambda: strict.client("lambda").invoke(FunctionName=stack.function, Payload=b"{}"),
        lambda: strict.client("lambda").update_function_configuration(
            FunctionName=unqualified(stack.function), Timeout=900
        ),
        lambda: strict.client("iam").get_role(RoleName=strict.role_arn.rpartition("/")[2]),
        lambda: strict.client("cloudformation").describe_stacks(),
        lambda: strict.client("kms").create_key(),
    ]
    assert [number for number, call in enumerate(calls) if not is_denied(call)] == []


def test_the_kms_key_can_be_used_through_services_only(strict: Strict) -> None:
    if strict.mode == "direct":
        kms, key = strict.client("kms"), strict.parameters["KmsKeyArn"]
        assert is_denied(lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"))
        (one,) = (each for each in strict.document["Statement"] if each["Sid"] == "UseTheKey")
        assert one["Resource"] == key
        assert one["Condition"]["StringEquals"]["kms:ViaService"] == [
            f"{service}.us-east-1.amazonaws.com" for service in ("s3", "sqs", "dynamodb")
        ]
    else:
        assert not [each for each in strict.document["Statement"] if "kms" in str(each)]


def test_calls_without_tls_are_denied(strict: Strict) -> None:
    def forwarded(request: Any, **_: object) -> None:
        request.headers.add_header("X-Forwarded-Proto", "http")  # a proxy's header for a request over HTTP

    stack = strict.stack
    s3, sqs = strict.client("s3"), strict.client("sqs")
    assert not is_denied(lambda: s3.list_objects_v2(Bucket=stack.results_bucket))
    for one in (s3, sqs):
        one.meta.events.register("before-sign", forwarded)
    assert is_denied(lambda: s3.list_objects_v2(Bucket=stack.results_bucket))
    assert is_denied(lambda: sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["All"]))
    if "ExistingBucket" not in strict.parameters:  # the template adds no policy to an existing bucket
        assert is_denied(lambda: s3.get_object(Bucket=stack.uploads_bucket, Key=strict.key("guarded")))


def test_another_bucket_cannot_send_to_the_queue(strict: Strict) -> None:
    stack = strict.stack
    arn = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    wanted = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(ClientError, match="Unable to validate"):
        client(stack.endpoint, "s3").put_bucket_notification_configuration(
            Bucket=OTHER_BUCKET, NotificationConfiguration=wanted
        )
