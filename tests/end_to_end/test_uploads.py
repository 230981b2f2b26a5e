"""Uploads over HTTP: S3 event, queue, event source mapping, runtime client, handler, S3 and DynamoDB."""

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from PIL import Image

from infra.bake.reuse import bundle_for
from infra.common.items import plain
from infra.common.local_stack import Stack
from tests.support.pictures import card, encoded, picture
from tests.support.processes import eventually

PHOTOS = {
    "plain.jpg": encoded(picture(400, 300), "JPEG", quality=95),
    "a folder/red shoe+1 100%25.png": encoded(picture(300, 500, seed=1)),
    "日本/Ünï.webp": encoded(picture(256, 257, seed=2), "WEBP", quality=95),
    "card.avif": encoded(card(), "AVIF", quality=95),
    "tiny.gif": encoded(picture(3, 2, seed=3), "GIF"),
    "wide.bmp": encoded(picture(900, 120, seed=4), "BMP"),
}


def put(stack: Stack, key: str, data: bytes) -> str:
    return stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=data)["ETag"].strip('"')


def item(stack: Stack, key: str) -> dict[str, Any]:
    found = stack.dynamodb.get_item(
        TableName=stack.table, Key={"source": {"S": stack.source(key)}}, ConsistentRead=True
    ).get("Item")
    return plain(found) if found else {}


def result_keys(stack: Stack, key: str) -> list[str]:
    prefix = f"{stack.uploads_bucket}/{key}/"
    listing = stack.s3.list_objects_v2(Bucket=stack.results_bucket, Prefix=prefix, Delimiter="/")
    return [entry["Key"] for entry in listing.get("Contents", [])]


def plain_vector(data: bytes) -> npt.NDArray[np.float32]:
    """The vector of a simple reference script: full decode, resize, crop, one call of onnxruntime."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    size = (224, int(224 * height / width)) if width <= height else (int(224 * width / height), 224)
    left, top = (round((side - 224) / 2.0) for side in size)
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224)))
    tensor = (pixels.astype(np.float32).transpose(2, 0, 1)[None] - 127) / 128
    session = ort.InferenceSession(bundle_for("efficientnet-lite0") / "image.onnx", providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: tensor})
    vector: npt.NDArray[np.float32] = output[0] / np.linalg.norm(output[0])
    return vector


@pytest.mark.parametrize("key", PHOTOS)
def test_an_upload_becomes_an_item_and_a_json(stack: Stack, key: str) -> None:
    etag = put(stack, key, PHOTOS[key])
    assert eventually(lambda: item(stack, key) != {}, 30)
    found = item(stack, key)
    assert (found["status"], found["etag"], found["model"]) == ("success", etag, "efficientnet-lite0")
    assert (found["embedding_dim"], found["embedding_dtype"], found["normalized"]) == (1280, "float32", True)
    assert found["bytes"] == len(PHOTOS[key])
    assert found["sequencer"]
    expected = plain_vector(PHOTOS[key])
    assert float(found["embedding"] @ expected) >= 0.9999
    bucket, _, name = found["result"].removeprefix("s3://").partition("/")
    assert result_keys(stack, key) == [name]
    result = json.loads(stack.s3.get_object(Bucket=bucket, Key=name)["Body"].read())
    assert result["source"] == found["source"] == stack.source(key)
    assert np.array_equal(np.array(result["embedding"]["embedding"], dtype=np.float32), found["embedding"])


def test_bad_files_are_rejected_and_others_embedded(stack: Stack) -> None:
    bad = {"mixed/text.jpg": b"no image", "mixed/empty.png": b"", "mixed/half.png": PHOTOS["card.avif"][:500]}
    good = {f"mixed/{number}.png": encoded(picture(60, 50, seed=number)) for number in range(9)}
    for key, data in (bad | good).items():
        put(stack, key, data)
    assert eventually(lambda: all(item(stack, key) for key in bad | good), 30)
    assert {key: item(stack, key).get("error_code") for key in bad} == {
        "mixed/text.jpg": "unsupported_format",
        "mixed/empty.png": "empty_object",
        "mixed/half.png": "corrupt_image",
    }
    assert {item(stack, key)["status"] for key in good} == {"success"}


def test_overwriting_and_deleting(stack: Stack) -> None:
    put(stack, "changing.png", PHOTOS["plain.jpg"])
    etag = put(stack, "changing.png", PHOTOS["card.avif"])
    assert eventually(lambda: item(stack, "changing.png").get("etag") == etag, 30)
    assert item(stack, "changing.png")["format"] == "avif"
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key="changing.png")
    assert eventually(lambda: item(stack, "changing.png").get("status") == "deleted", 30)
    assert eventually(lambda: result_keys(stack, "changing.png") == [], 10)


def test_folder_markers_and_the_results_bucket_are_ignored(stack: Stack) -> None:
    put(stack, "folder/", b"")
    put(stack, "after.png", encoded(picture()))
    assert eventually(lambda: item(stack, "after.png") != {}, 30)
    assert item(stack, "folder/") == {}
    own = {"Records": [{"eventSource": "aws:s3", "eventVersion": "2.1", "s3": {"bucket": {}, "object": {}}}]}
    own["Records"][0]["s3"] = {
        "bucket": {"name": stack.results_bucket},
        "object": {"key": result_keys(stack, "after.png")[0]},
    }
    answer = stack.lambda_.invoke(FunctionName=stack.function, Payload=json.dumps(own))
    assert "FunctionError" not in answer
