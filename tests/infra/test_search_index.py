"""Waiting for the search index, on a local AWS whose indexer never runs: the test writes the vectors itself."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from handler.index.names import index_name, vector_key
from infra.common.errors import OperatorError
from infra.common.items import Item
from infra.common.local_session import CONFIG, session
from infra.common.local_stack import Stack
from infra.local.search_index import await_indexed
from infra.local.server import LocalAws, local_aws

FIRST, SECOND = "1" * 64, "2" * 64
STACK = Stack(
    "", "us-east-1", "uploads", "results", "table", "function", "", "", "vectors", "indexer", "api", None, None, ()
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws") / "aws.log") as running:
        make_client: Any = session().client
        make_client("s3vectors", endpoint_url=running.endpoint, config=CONFIG).create_vector_bucket(
            vectorBucketName="vectors"
        )
        yield running


@pytest.fixture
def stack(aws: LocalAws) -> Stack:
    return replace(STACK, endpoint=aws.endpoint)


def item(key: str, fingerprint: str, status: str = "success") -> Item:
    return {"source": f"s3://uploads/{key}", "status": status, "fingerprint": fingerprint}


def write(stack: Stack, *items: Item) -> None:
    for one in items:
        where = {"vectorBucketName": "vectors", "indexName": index_name(one["fingerprint"])}
        if not stack.s3vectors.list_indexes(vectorBucketName="vectors", prefix=where["indexName"])["indexes"]:
            stack.s3vectors.create_index(**where, dataType="float32", dimension=1, distanceMetric="cosine")
        vector = {"key": vector_key(one["source"]), "data": {"float32": [1.0]}}
        stack.s3vectors.put_vectors(**where, vectors=[vector])


def test_every_vector_is_awaited_in_the_index_of_its_model(aws: LocalAws, stack: Stack) -> None:
    first = [item(f"first/{number}", FIRST) for number in range(150)]  # more than one call can ask for
    second = [item("second/0", SECOND)]
    timer = threading.Timer(0.3, write, (stack, *first, *second))
    timer.start()
    assert await_indexed(aws, stack, [*first, *second, item("bad", FIRST, "error")]) == 151
    timer.join()


def test_without_embedded_images_there_is_nothing_to_await(aws: LocalAws, stack: Stack) -> None:
    assert await_indexed(aws, stack, [item("bad", FIRST, "error")]) == 0


def test_a_missing_vector_is_an_error(aws: LocalAws, stack: Stack) -> None:
    write(stack, item("there", FIRST))
    wanted = [item("there", FIRST), item("missing", FIRST), item("missing", "3" * 64)]
    with pytest.raises(OperatorError, match=r"^no vector was indexed for 0 s; 2 of 3 are missing; .*log: ") as raised:
        await_indexed(aws, stack, wanted, patience=0.1)
    assert "\n" not in str(raised.value)


def test_the_end_of_the_local_aws_is_an_error(aws: LocalAws, stack: Stack) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(OperatorError, match="the local AWS ended unexpectedly"):
            await_indexed(replace(aws, pid=process.pid), stack, [item("photo", FIRST)])
