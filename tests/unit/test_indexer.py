"""The entry point of the function `Indexer`."""

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from handler.errors import UnknownEventError
from handler.index.names import index_name, vector_key
from infra.local.s3vectors.errors import TooManyRequestsError
from infra.local.s3vectors.service import S3Vectors
from tests.support.s3vectors_server import s3vectors_client, s3vectors_server
from tests.support.stored_items import FINGERPRINT, Made
from tests.support.stream_records import event_of, record_of
from tests.support.vector_indexes import VECTORS
from tests.unit.test_app import one_line, run

IMPORT = "import handler.index.app"
SETTINGS = {"VECTOR_BUCKET": VECTORS}
A = Made()
ZERO = Made("s3://uploads/zero.png", vector=(0, 0, 0))


def invoke(event: dict[str, Any], endpoint: str, **more: str) -> CompletedProcess[str]:
    code = f"""
import json, sys
from handler.index.app import handler
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 60000
print(handler(json.loads({json.dumps(json.dumps(event))}), Context()))
"""
    return run(code, **SETTINGS, AWS_ENDPOINT_URL=endpoint, **more)


def test_a_batch_goes_into_the_index_and_its_counts_into_the_log() -> None:
    gone = Made("s3://uploads/gone.png")
    event = event_of([record_of(None, A.wire()), record_of(None, ZERO.wire()), record_of(gone.wire(), None)])
    with s3vectors_server(S3Vectors()) as endpoint:
        client = s3vectors_client(endpoint)
        client.create_vector_bucket(vectorBucketName=VECTORS)
        done = invoke(event, endpoint)
        found = client.list_vectors(vectorBucketName=VECTORS, indexName=index_name(FINGERPRINT))["vectors"]
    assert done.stderr == ""
    refused, metrics, answer = done.stdout.splitlines()
    assert answer == "None"
    assert [vector["key"] for vector in found] == [vector_key(A.source)]
    line = json.loads(refused)
    assert "zero norm" in line.pop("error")
    assert line == {
        "level": "ERROR",
        "request_id": "request-1",
        "source": ZERO.source,
        "error_code": "refused_vector",
    }
    counts = json.loads(metrics)
    assert (counts["Indexed"], counts["Unindexed"], counts["RefusedVectors"]) == (1, 1, 1)
    assert counts["FunctionName"] == "dropvec-indexer"
    (about,) = counts["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"] for metric in about["Metrics"]} == {"Indexed", "Unindexed", "RefusedVectors"}


def test_metrics_can_be_switched_off() -> None:
    with s3vectors_server(S3Vectors()) as endpoint:
        s3vectors_client(endpoint).create_vector_bucket(vectorBucketName=VECTORS)
        done = invoke(event_of([record_of(None, A.wire())]), endpoint, METRICS="false")
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_a_batch_that_cannot_be_applied_fails_with_a_typed_error() -> None:
    def throttle(_call: object, _proceed: object) -> dict[str, Any]:
        raise TooManyRequestsError("slow down")

    with s3vectors_server(S3Vectors(throttle)) as endpoint:
        done = invoke(event_of([record_of(None, A.wire())]), endpoint)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("handler.errors.RetryableError: ListIndexes: TooManyRequests")


def test_an_event_of_another_trigger_is_named() -> None:
    done = run(f"{IMPORT}; handler.index.app.handler({{'Records': [{{'eventSource': 'aws:sqs'}}]}})", **SETTINGS)
    assert UnknownEventError.__name__ in done.stderr.splitlines()[-1]
    assert "its eventSource is not aws:dynamodb" in done.stderr.splitlines()[-1]


def test_a_missing_bucket_is_one_line() -> None:
    assert "VECTOR_BUCKET is not set; set it to" in one_line(run(IMPORT))


@pytest.mark.parametrize(
    ("name", "value"),
    [("METRICS", "maybe"), ("AWS_ENDPOINT_URL_S3VECTORS", "localhost:4566"), ("AWS_DEFAULT_REGION", "no region")],
)
def test_a_wrong_setting_is_one_line(name: str, value: str) -> None:
    assert "set it to" in one_line(run(IMPORT, **SETTINGS | {name: value}))


PACKAGES = """
import sys
packages = {name.partition('.')[0] for name in sys.modules if not name.startswith('_')}
print(sorted(packages - sys.stdlib_module_names - {'sitecustomize'}))
"""


def test_it_imports_neither_a_model_nor_numpy_nor_pillow() -> None:
    event = json.dumps(event_of([record_of(None, A.wire()), record_of(Made("s3://uploads/b").wire(), None)]))
    with s3vectors_server(S3Vectors()) as endpoint:
        s3vectors_client(endpoint).create_vector_bucket(vectorBucketName=VECTORS)
        code = f"{IMPORT}, json; handler.index.app.handler(json.loads({event!r})){PACKAGES}"
        done = run(code, **SETTINGS, AWS_ENDPOINT_URL=endpoint)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("['handler', 'orjson']", "")
