"""Direct invocation through the local AWS's Lambda endpoint, with the real runtime client."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from infra.common.local_stack import Stack
from infra.local.stack import ARTIFACTS_BUCKET
from tests.end_to_end.test_uploads import item, plain_vector, put
from tests.support.pictures import encoded, picture

PHOTO = encoded(picture(320, 200, seed=9), "JPEG", quality=95)


def invoke(stack: Stack, payload: object, function: str | None = None) -> tuple[Any, bool]:
    answer = stack.lambda_.invoke(FunctionName=function or stack.function, Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


def test_paths_inline_images_and_broken_images_in_one_request(stack: Stack) -> None:
    put(stack, "direct/a b.jpg", PHOTO)
    request = {
        "input_paths": [stack.source("direct/a b.jpg"), stack.source("direct/missing.jpg")],
        "images": [
            {"id": "inline", "data": base64.b64encode(PHOTO).decode()},
            {"id": "broken", "data": base64.b64encode(PHOTO[:500]).decode()},
        ],
    }
    response, failed = invoke(stack, request)
    assert not failed
    output = response["task_output"]
    assert (response["status"], output["total_files"], output["normalize"]) == ("ok", 4, True)
    assert (output["model"], len(output["fingerprint"])) == ("efficientnet-lite0", 64)
    path, missing, inline, broken = output["files"]
    assert path["embedding"] == inline["embedding"]
    assert (path["embedding"]["embedding_dim"], path["embedding"]["normalized"]) == (1280, True)
    assert np.dot(path["embedding"]["embedding"], plain_vector(PHOTO)) >= 0.9999
    assert (missing["status"], missing["error_code"], missing["embedding"]) == ("error", "not_found", None)
    assert (broken["file_path"], broken["error_code"]) == ("broken", "corrupt_image")


def test_store_writes_an_item(stack: Stack) -> None:
    put(stack, "direct/stored.jpg", PHOTO)
    response, _ = invoke(stack, {"input_paths": [stack.source("direct/stored.jpg")], "store": True})
    assert response["task_output"]["files"][0]["status"] == "success"
    assert item(stack, "direct/stored.jpg")["status"] == "success"


@pytest.mark.parametrize("invalid", [{"input_paths": "s3://b/k"}, {"texts": []}, {"check": True, "store": True}])
def test_invalid_request_is_answered_with_the_reason(stack: Stack, invalid: object) -> None:
    response, failed = invoke(stack, invalid)
    assert not failed
    assert (response["status"], response["error_code"]) == ("error", "invalid_request")
    assert "Traceback" not in response["error"]


@pytest.mark.parametrize("unknown", [{}, {"hello": "world"}, [1, 2], "text"])
def test_unknown_shape_fails_so_that_an_asynchronous_invocation_is_retried(stack: Stack, unknown: object) -> None:
    response, failed = invoke(stack, unknown)
    assert failed
    assert response["errorType"] == "UnknownEventError"
    assert response["errorMessage"].startswith("unsupported event: ")


def test_an_event_of_an_unsupported_service_fails_without_traceback(stack: Stack) -> None:
    response, failed = invoke(stack, {"Records": [{"eventSource": "aws:kinesis"}]})
    assert failed
    assert "unsupported event: a record of aws:kinesis; expected S3" in response["errorMessage"]


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        ("no-table", {"RESULTS_BUCKET": "results"}, "TABLE_NAME is not set; set it to"),
        ("no-bucket", {"TABLE_NAME": "vectors"}, "RESULTS_BUCKET is not set; set it to"),
    ],
)
def test_an_error_names_the_missing_setting(stack: Stack, name: str, environment: dict[str, str], message: str) -> None:
    stack.lambda_.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="handler.app.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Code={"S3Bucket": ARTIFACTS_BUCKET, "S3Key": "function.zip"},
        Environment={"Variables": environment},
        Timeout=30,
    )
    response, failed = invoke(stack, {}, name)
    assert failed
    assert message in response["errorMessage"]
