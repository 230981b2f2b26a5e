"""Run the image with Lambda's emulator, with the restrictions of Lambda."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from handler.model.spec import load_spec
from infra.bake.reuse import bundle_for
from infra.common.local_stack import Stack
from tests.end_to_end.test_uploads import item, plain_vector, put, result_keys
from tests.image.conftest import MODEL, Start
from tests.image.function import Function
from tests.image.network import HOST
from tests.support.pictures import encoded, picture

# The minimum of the template, and the memory size that has one vCPU.
MEGABYTES = (512, 1769)

PHOTO = encoded(picture(320, 200, seed=21), "JPEG", quality=95)
TWELVE_MEGAPIXELS = encoded(picture(4000, 3000, seed=22), "JPEG", quality=90)


@pytest.fixture(scope="module", params=MEGABYTES, ids=lambda megabytes: f"{megabytes}-MB")
def running(request: pytest.FixtureRequest, start: Start) -> Iterator[Function]:
    with start(request.param) as made:
        yield made


def test_the_kernel_limits_its_memory(running: Function, request: pytest.FixtureRequest) -> None:
    megabytes = request.node.callspec.params["running"]
    assert running.limit() == megabytes << 20


def test_the_self_check_passes_with_a_prepared_graph(running: Function) -> None:
    answer = running.invoke({"check": True})
    spec = load_spec(bundle_for(MODEL))
    assert (answer["status"], answer["fingerprint"]) == ("ok", spec.fingerprint)
    assert answer["cosine"] >= 0.9999
    assert answer["graph"] in {prepared.name for prepared in spec.prepared}
    assert answer["versions"]["awslambdaric"] != "unknown"  # from the base image


def test_paths_and_images_in_one_direct_request(running: Function, stack: Stack) -> None:
    put(stack, "image/a b.jpg", PHOTO)
    request = {
        "input_paths": [stack.source("image/a b.jpg"), stack.source("image/missing.jpg")],
        "images": [{"id": "inline", "data": base64.b64encode(PHOTO).decode()}],
    }
    answer = running.invoke(request)
    path, missing, inline = answer["task_output"]["files"]
    assert path["embedding"] == inline["embedding"]
    assert np.dot(path["embedding"]["embedding"], plain_vector(PHOTO)) >= 0.9999
    assert missing["error_code"] == "not_found"


def test_an_upload_from_the_queue_becomes_json_and_an_item(running: Function, stack: Stack) -> None:
    key = f"image/{running.name}/red shoe+1.jpg"
    put(stack, key, PHOTO)
    assert running.invoke(sqs_event(stack)) == {"batchItemFailures": []}
    stored = item(stack, key)
    assert (stored["status"], stored["embedding_dim"], stored["format"]) == ("success", 1280, "jpeg")
    (result,) = result_keys(stack, key)
    assert stored["result"] == f"s3://{stack.results_bucket}/{result}"
    body = json.loads(stack.s3.get_object(Bucket=stack.results_bucket, Key=result)["Body"].read())
    assert np.dot(body["embedding"]["embedding"], plain_vector(PHOTO)) >= 0.9999


def test_twelve_megapixels_fit_in_memory(running: Function, stack: Stack) -> None:
    put(stack, "image/large.jpg", TWELVE_MEGAPIXELS)
    answer = running.invoke({"input_paths": [stack.source("image/large.jpg")] * 3})
    assert [file["status"] for file in answer["task_output"]["files"]] == ["success"] * 3
    assert not running.was_killed()


def test_it_is_unprivileged_and_can_write_only_to_tmp(running: Function) -> None:
    program = """
import errno, os
for folder in ("/", "/var/task", "/opt/model", "/root", "/etc"):
    try:
        open(os.path.join(folder, "new"), "w")
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES), error
    else:
        raise AssertionError(folder)
open("/tmp/new", "w").close()
os.remove("/tmp/new")
print(os.getuid(), os.getgid(), open("/proc/self/status").read().split("CapEff:")[1].split()[0])
"""
    assert running.python(program) == "65534 65534 0000000000000000"


def test_only_the_local_aws_is_reachable(running: Function, stack: Stack) -> None:
    outside = int(stack.endpoint.rpartition(":")[2])
    program = f"""
import socket
for address in (("192.0.2.1", 443), ("{HOST}", {outside})):
    try:
        socket.create_connection(address, 2)
    except OSError as error:
        print(type(error).__name__, error.errno)
print(sorted(name for _, name in socket.if_nameindex()))
"""
    unreachable, refused, interfaces = running.python(program).splitlines()
    assert (unreachable, refused) == ("OSError 101", "ConnectionRefusedError 111")
    assert interfaces == "['lo']"


def test_no_temporary_files_are_left(running: Function) -> None:
    running.invoke({"images": [{"id": "a", "data": base64.b64encode(PHOTO).decode()}]})
    assert running.python("import os; print(os.listdir('/tmp'))") == "[]"


def test_it_runs_as_any_user(start: Start) -> None:
    with start(512, "--user=993:990") as made:
        assert made.invoke({"check": True})["status"] == "ok"
        assert made.python("import os; print(os.getuid())") == "993"


def test_a_missing_setting_is_one_line(start: Start) -> None:
    with start(512, without="TABLE_NAME") as made:
        answer = made.invoke({"check": True})
    assert (answer["errorType"], answer["stackTrace"]) == ("SettingsError", [])
    assert "TABLE_NAME is not set; set it to" in answer["errorMessage"]


def sqs_event(stack: Stack) -> dict[str, Any]:
    """The SQS event with the messages in the queue, once there is one about an object."""
    arn = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    records: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while not any("ObjectCreated" in record["body"] for record in records) and time.monotonic() < deadline:
        found = stack.sqs.receive_message(
            QueueUrl=stack.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=1
        )
        records += [_record(message, arn, stack.region) for message in found.get("Messages", [])]
    return {"Records": records}


def _record(message: Any, arn: str, region: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }
