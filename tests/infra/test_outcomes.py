from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.common.local_stack import Stack
from infra.local.images import Upload
from infra.local.outcomes import upload_and_await
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy

# Writes an item for each upload, except for keys with "never".
FUNCTION = """
import json, os
from urllib.parse import unquote_plus
import botocore.session

dynamodb = botocore.session.get_session().create_client("dynamodb")

def handler(event, context):
    failed = []
    for record in event["Records"]:
        for one in json.loads(record["body"]).get("Records", []):
            key = unquote_plus(one["s3"]["object"]["key"])
            if "never" in key:
                print("ERROR cannot embed", key)
                failed.append({"itemIdentifier": record["messageId"]})
                continue
            source = {"S": f"s3://{one['s3']['bucket']['name']}/{key}"}
            dynamodb.put_item(TableName=os.environ["TABLE_NAME"], Item={"source": source, "status": {"S": "success"}})
    return {"batchItemFailures": failed}
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws") / "aws.log") as running:
        yield running


@pytest.fixture(scope="module")
def stack(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    package = tmp_path_factory.mktemp("code") / "handler"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "app.py").write_text(FUNCTION)
    return deploy(aws, package, package=package, parameters={"Search": "false"})  # it has no other functions


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photo").write_bytes(b"a photo")
    return tmp_path / "photo"


def test_every_upload_is_awaited(aws: LocalAws, stack: Stack, photo: Path) -> None:
    uploads = [Upload(f"many/é +%25 {number}.jpg", photo) for number in range(250)]
    seen: list[tuple[int, int]] = []
    found = upload_and_await(aws, stack, uploads, lambda *counts: seen.append(counts))
    assert set(found) == {stack.source(upload.key) for upload in uploads}
    assert seen == sorted(seen)
    assert seen[-1] == (250, 250)


def test_a_timeout_names_the_missing_images(aws: LocalAws, stack: Stack, photo: Path) -> None:
    uploads = [Upload(key, photo) for key in ["b.jpg", *(f"never {number}.jpg" for number in range(4))]]
    with pytest.raises(OperatorError) as raised:
        upload_and_await(aws, stack, uploads, lambda *_: None, patience=1.5)
    message = str(raised.value)
    assert "4 of 5 images have none: never 0.jpg, never 1.jpg, never 2.jpg, …; dead letters: 0; " in message
    assert "last error: ERROR cannot embed never" in message
    assert "\n" not in message


def test_a_file_that_is_deleted_before_its_upload_is_an_error(aws: LocalAws, stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"an upload failed: .*gone\.jpg"):
        upload_and_await(aws, stack, [Upload("gone.jpg", tmp_path / "gone.jpg")], lambda *_: None)
