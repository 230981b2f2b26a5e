"""The same function in the way of tutorials ("naive"), which the benchmarks compare dropvec with.

For an S3 event, alone or inside SQS messages, it writes a JSON file to the results bucket and an item to the table. It
imports everything at the top, creates the clients and the model at module level, decodes images at full size, and
stores the vector as a list of Decimals. Its preprocessing is right, so its vectors are the same. The comparison is
fair: nothing is slower than in tutorials, and the bytecode is compiled as in a container image.
"""

import io
import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import boto3
import httpx
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image, ImageOps
from pydantic import BaseModel, Field


class ModelConfig(BaseModel):
    """The preprocessing fields of `model.json`."""

    name: str
    file: str
    input_name: str
    output_name: str
    embedding_dim: int
    input_size: int
    resize_size: int
    interpolation: str
    divisor: float
    mean: list[float]
    std: list[float]


class S3Object(BaseModel):
    """The bucket and key of an upload."""

    bucket: str
    key: str


class Embedding(BaseModel):
    """A vector."""

    embedding: list[float]
    embedding_dim: int
    normalized: bool


class Result(BaseModel):
    """The stored result of an image."""

    source: str
    status: str = Field(default="success")
    model: str
    width: int
    height: int
    embedding: Embedding
    updated_at: str


MODEL_DIR = Path(os.environ["MODEL_DIR"])
RESULTS_BUCKET = os.environ["RESULTS_BUCKET"]
TABLE_NAME = os.environ["TABLE_NAME"]
WEBHOOK_URL = os.environ.get("WEBHOOK_URL")

config = ModelConfig.model_validate_json((MODEL_DIR / "model.json").read_text())
session = ort.InferenceSession(str(MODEL_DIR / config.file))
s3 = boto3.client("s3")
table = boto3.resource("dynamodb").Table(TABLE_NAME)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Embed every object of an event."""
    objects = [found for record in event["Records"] for found in objects_of(record)]
    results = [process(found) for found in objects]
    return {"statusCode": 200, "body": json.dumps({"processed": len(results)})}


def objects_of(record: dict[str, Any]) -> list[S3Object]:
    """The objects of one record, which may be an SQS message with S3 records in it."""
    if "body" in record:
        return [found for inner in json.loads(record["body"])["Records"] for found in objects_of(inner)]
    entity = record["s3"]
    return [S3Object(bucket=entity["bucket"]["name"], key=unquote_plus(entity["object"]["key"]))]


def process(found: S3Object) -> Result:
    """Fetch, embed and store one object."""
    data = s3.get_object(Bucket=found.bucket, Key=found.key)["Body"].read()
    image = load_image(data)
    result = result_of(found, image, run(preprocess(image)))
    write_json(found, result)
    put_item(result)
    if WEBHOOK_URL:
        httpx.post(WEBHOOK_URL, json={"source": result.source})
    return result


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to its vector, not normalised."""
    return run(preprocess(load_image(data)))


def load_image(data: bytes) -> Image.Image:
    """Decode an image to RGB, with its EXIF rotation applied."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def preprocess(image: Image.Image) -> npt.NDArray[np.float32]:
    """Resize the shortest side, crop the centre, scale: float32 (1, 3, S, S)."""
    size, width, height = config.resize_size, image.width, image.height
    resized = (size, int(size * height / width)) if width <= height else (int(size * width / height), size)
    image = image.resize(resized, Image.Resampling[config.interpolation.upper()])
    left = int(round((image.width - config.input_size) / 2.0))  # noqa: RUF046 - as in torchvision
    top = int(round((image.height - config.input_size) / 2.0))  # noqa: RUF046 - likewise
    image = image.crop((left, top, left + config.input_size, top + config.input_size))
    pixels = np.array(image, dtype=np.float32)
    pixels /= np.float32(config.divisor)
    pixels -= np.array(config.mean, dtype=np.float32)
    pixels /= np.array(config.std, dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])


def run(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Run the model."""
    vector: npt.NDArray[np.float32] = session.run([config.output_name], {config.input_name: tensor})[0][0]
    return vector


def result_of(found: S3Object, image: Image.Image, vector: npt.NDArray[np.float32]) -> Result:
    """Make the result to store."""
    vector = vector / np.linalg.norm(vector)
    return Result(
        source=f"s3://{found.bucket}/{found.key}",
        model=config.name,
        width=image.width,
        height=image.height,
        embedding=Embedding(embedding=vector.tolist(), embedding_dim=len(vector), normalized=True),
        updated_at=datetime.now(UTC).isoformat(),
    )


def write_json(found: S3Object, result: Result) -> None:
    """Write the JSON."""
    s3.put_object(
        Bucket=RESULTS_BUCKET,
        Key=f"{found.bucket}/{found.key}.json",
        Body=json.dumps(result.model_dump()),
        ContentType="application/json",
    )


def put_item(result: Result) -> None:
    """Write the item."""
    item = result.model_dump(exclude={"embedding"})
    item["embedding"] = [Decimal(str(value)) for value in result.embedding.embedding]
    table.put_item(Item=item)
