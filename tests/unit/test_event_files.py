"""Every file in events/ is read as its row here says."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handler.direct import InlineImage, Request, parse, respond
from handler.errors import RequestError
from handler.jobs import Job
from handler.timing import Deadline
from handler.triggers.events import Direct, Trigger, Work, read_event
from tests.unit.conftest import World

EVENTS = Path(__file__).parents[2] / "events"
FILES = sorted(path.name for path in EVENTS.glob("*.json"))

UPLOADS = "dropvec-uploads-123456789012-us-east-1"
RESULTS = "dropvec-results-123456789012-us-east-1"
CATALOGUE = "catalogue-images-123456789012-us-east-1"
LONGEST_KEY = "archive/2026/" + "é" * 100 + "/" + "very-long-name_" * 53 + "x" * 11 + ".jpg"
GRADIENT = InlineImage(
    id="gradient-8x6",
    data="iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAGElEQVR42mNkYEhQYWDARCwMxgxYAT0kAA3KAnE+aCagAAAAAElFTkSuQmCC",
)


@dataclass(frozen=True)
class Expected:
    """A message as it should be read; of its error, the part before the semicolon."""

    id: str
    jobs: tuple[Job, ...]
    error: str | None
    group: str | None


def expected(name: str, *jobs: Job, error: str | None = None, group: str | None = None) -> Expected:
    return Expected(name, jobs, error, group)


TRIGGERS: dict[str, tuple[Trigger, list[Expected]]] = {
    "s3-put.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/red-shoe.jpg", "0068EB6A1B01A44C9C"))]),
    "s3-put-2.6.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/blue-shoe.jpg", "0068EB6A1B0296AFE2"))]),
    "s3-put-versioned.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/green-shoe.jpg", "0068EB6A1B053D58D4"))]),
    "s3-multipart.json": (Trigger.S3, [expected("", Job(UPLOADS, "scans/poster-600dpi.tiff", "0068EB6A1B06BCBA89"))]),
    "s3-copy.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/copy-of-red-shoe.jpg", "0068EB6A1B0A65D9B7"))]),
    "s3-key-spaces-and-plus.json": (
        Trigger.S3,
        [expected("", Job(UPLOADS, "holiday 2026/beach + dog (1).jpg", "0068EB6A1B0B0DF755"))],
    ),
    "s3-key-percent.json": (
        Trigger.S3,
        [expected("", Job(UPLOADS, "sale/100% wool/50%2Boff & more=?#'1'~.png", "0068EB6A1B0D3AC00D"))],
    ),
    "s3-key-unicode.json": (
        Trigger.S3,
        [expected("", Job(UPLOADS, "カタログ/赤い靴/naïve café 🥿.webp", "0068EB6A1B0F14B61A"))],
    ),
    "s3-key-1024-bytes.json": (Trigger.S3, [expected("", Job(UPLOADS, LONGEST_KEY, "0068EB6A1B1207DC1F"))]),
    "s3-folder-marker.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/winter/", "0068EB6A1B12EFF79A"))]),
    "s3-delete.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/red-shoe.jpg", "0068EB6A1B13995D6C"))]),
    "s3-delete-marker.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/green-shoe.jpg", "0068EB6A1B165539D3"))]),
    "s3-delete-version.json": (Trigger.S3, [expected("", Job(UPLOADS, "shop/green-shoe.jpg", "0068EB6A1B17C0846D"))]),
    "s3-lifecycle-expiration.json": (Trigger.S3, [expected("", Job(UPLOADS, "tmp/preview.png", "0068EB980000000000"))]),
    "s3-lifecycle-delete-marker.json": (
        Trigger.S3,
        [expected("", Job(UPLOADS, "shop/old-shoe.jpg", "0068EB980000000000"))],
    ),
    "s3-restore-completed.json": (Trigger.S3, [expected("", Job(UPLOADS, "archive/1999/catalogue-cover.tif", None))]),
    "s3-two-buckets.json": (
        Trigger.S3,
        [
            expected(
                "",
                Job(UPLOADS, "shop/boots.jpg", "0068EB6A1B1A847122"),
                Job(CATALOGUE, "covers/1.png", "0068EB6A1B1D91DE26"),
            )
        ],
    ),
    "s3-results-bucket.json": (
        Trigger.S3,
        [
            expected(
                "",
                Job(
                    RESULTS,
                    f"{UPLOADS}/shop/red-shoe.jpg/9f86d081884c7d659a2feaa0c55ad015-3f2a9c01.json",
                    "0068EB6A1B1E1CCA44",
                ),
            )
        ],
    ),
    "s3-test-event.json": (Trigger.S3, [expected("")]),
    "s3-version-3.json": (Trigger.S3, [expected("", error="unsupported version of an S3 notification: '3.0'")]),
    "eventbridge-created.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "holiday 2026/beach + dog 100%2B.jpg", "0068EB6A1B23A71429"))],
    ),
    "eventbridge-created-versioned.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "カタログ/赤い靴.jpg", "0068EB6A1B26826D37"))],
    ),
    "eventbridge-deleted.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "shop/red-shoe.jpg", "0068EB6A1B2879235D"))],
    ),
    "eventbridge-delete-marker.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "shop/old-shoe.jpg", "0068EB980000000000"))],
    ),
    "eventbridge-restore-completed.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "archive/1999/catalogue-cover.tif", None))],
    ),
    "eventbridge-other-service.json": (
        Trigger.EVENTBRIDGE,
        [expected("", error="unsupported event: an event 'EC2 Instance State-change Notification' of 'aws.ec2'")],
    ),
    "sqs-s3.json": (
        Trigger.SQS,
        [
            expected("3b2a421a-d1b0-470b-a200-d218798a0d59", Job(UPLOADS, "shop/a.jpg", "0068EB6A1B2BD6FB1C")),
            expected(
                "53c69b0a-d19f-4be9-82e9-c9fbd0930b64", Job(UPLOADS, "shop/b with space.png", "0068EB6A1B2E1CD67A")
            ),
            expected("ba60491e-6406-4458-b27b-cda3a4fc8621", Job(UPLOADS, "shop/c.jpg", "0068EB6A1B2F59D0BC")),
        ],
    ),
    "sqs-test-event.json": (Trigger.SQS, [expected("d7ad18a7-8ff5-4a77-a244-d05f0a857746")]),
    "sqs-eventbridge.json": (
        Trigger.SQS,
        [
            expected("3554ada8-7ae8-4484-ab7f-1414f6de2fbe", Job(UPLOADS, "shop/a + b.jpg", "0068EB6A1B2FED5AAC")),
            expected("5e73252b-fd91-4b0e-a030-7b7543c6ed1e", Job(UPLOADS, "shop/gone.jpg", "0068EB6A1B33206B35")),
        ],
    ),
    "sqs-sns.json": (
        Trigger.SQS,
        [
            expected("a245d658-a4bf-48e7-b14f-e2d6236e536d", Job(UPLOADS, "shop/sns a.jpg", "0068EB6A1B33473E45")),
            expected("a5753d8b-c1e2-49a3-8abe-5e52190d78d3", Job(UPLOADS, "shop/sns-b.jpg", "0068EB6A1B36B7F12D")),
        ],
    ),
    "sqs-sns-raw.json": (
        Trigger.SQS,
        [expected("539ef49c-a0c0-4a35-9ac4-4e92c974732b", Job(UPLOADS, "shop/raw.jpg", "0068EB6A1B377666FA"))],
    ),
    "sqs-sns-test-event.json": (Trigger.SQS, [expected("e14cbde5-a709-4548-b8e3-621baafb3717")]),
    "sqs-mixed.json": (
        Trigger.SQS,
        [
            expected("5dbc8d63-a8b5-445d-9c97-b77e182ee0e5", Job(UPLOADS, "shop/good.jpg", "0068EB6A1B3ADA3D14")),
            expected("e2b6c50c-8de6-4750-b901-5459661ce41c"),
            expected(
                "ee36196b-ea01-4583-99c1-4c26c647ebd1",
                error="unsupported event: 'Hello from the console, please process shop/lost.jpg'",
            ),
            expected("8c7e80c1-6994-4abd-8517-4a9f79b6fcb9", Job(UPLOADS, "shop/bridge + 1.jpg", "0068EB6A1B3B6EA415")),
            expected("ab670e4d-75e8-4d7e-bf83-4533b5906f57", error="unsupported event: a record of aws:kinesis"),
            expected("c9472c59-c731-4fda-a2bf-b10e7a1a3293", Job(UPLOADS, "shop/wrapped.jpg", "0068EB6A1B3D6BC480")),
            expected(
                "284387ee-6c28-4618-849d-27f94356e358",
                Job(UPLOADS, "shop/half.jpg", "0068EB6A1B406BFCA1"),
                error="unsupported event: a record of aws:kinesis",
            ),
        ],
    ),
    "sqs-fifo.json": (
        Trigger.SQS,
        [
            expected(
                "7ca13fc4-7551-4638-b4a0-41f3dee406e8",
                Job(UPLOADS, "shop-1/a.jpg", "0068EB6A1B414F87EF"),
                group="shop-1",
            ),
            expected(
                "b5a8e33b-8369-401a-894f-c1ab4205f27a",
                Job(UPLOADS, "shop-2/a.jpg", "0068EB6A1B42188F97"),
                group="shop-2",
            ),
            expected(
                "13e9d0bc-3876-4dc7-9534-c087ed7c5da0",
                Job(UPLOADS, "shop-1/b.jpg", "0068EB6A1B4288E758"),
                group="shop-1",
            ),
        ],
    ),
    "sqs-fair.json": (
        Trigger.SQS,
        [
            expected("6f6c80fa-5c2f-4626-af91-f0c5495125cc", Job(UPLOADS, "tenant-1/a.jpg", "0068EB6A1B43AE8473")),
            expected("55d0f051-58ff-4624-8f86-926984b9bda5", Job(UPLOADS, "tenant-1/b.jpg", "0068EB6A1B45338A40")),
        ],
    ),
    "sqs-lambda-failure.json": (
        Trigger.SQS,
        [expected("7f1e6f3a-2b0c-4a57-9d43-0f6a6c1c9be1", Job(UPLOADS, "shop/denied once.jpg", "0068EB6A1B4A90D112"))],
    ),
    "sqs-lambda-failure-sns.json": (
        Trigger.SQS,
        [
            expected(
                "e09b5d37-48c1-4f6a-8d2e-7a13c6f0b954", Job(UPLOADS, "shop/denied by topic.jpg", "0068EB6ABB1F8A5D20")
            )
        ],
    ),
    "sns-s3.json": (Trigger.SNS, [expected("", Job(UPLOADS, "shop/from sns.jpg", "0068EB6A1B48BC7737"))]),
    "sns-test-event.json": (Trigger.SNS, [expected("")]),
    "s3-batch-1.0.json": (
        Trigger.S3_BATCH,
        [expected("dGFza2lkZ29lc2hlcmUK", Job(UPLOADS, "shop/batch one+1.jpg", None))],
    ),
    "s3-batch-2.0.json": (
        Trigger.S3_BATCH,
        [expected("eTVSM2EybGtaMjlsYzJobA", Job(UPLOADS, "shop/batch two.jpg", None))],
    ),
    "eventbridge-input-path-detail.json": (
        Trigger.EVENTBRIDGE,
        [expected("", Job(UPLOADS, "shop/detail only + 1.jpg", "0068EB6A1B4C01D2E3"))],
    ),
    "sqs-eventbridge-input-path-detail.json": (
        Trigger.SQS,
        [
            expected(
                "6f0f9f0e-2a51-4d0c-9a0e-3a1f6b7c8d90",
                Job(UPLOADS, "shop/detail in a queue.jpg", "0068EB6A1B4D12F3A4"),
            )
        ],
    ),
    "pipe-sqs.json": (
        Trigger.SQS,
        [
            expected("0d5c1f6e-64a0-4a86-8a7c-4f7c0c0d1a11", Job(UPLOADS, "shop/a.jpg", "0068EB6A1B2BD6FB1C")),
            expected(
                "9b7e2c58-11f3-4b59-a5a4-2f8f0f6e7b22", Job(UPLOADS, "shop/b with space.png", "0068EB6A1B2E1CD67A")
            ),
        ],
    ),
    "pipe-sqs-bodies.json": (
        Trigger.S3,
        [
            expected(
                "",
                Job(UPLOADS, "shop/a.jpg", "0068EB6A1B2BD6FB1C"),
                Job(UPLOADS, "shop/b with space.png", "0068EB6A1B2E1CD67A"),
            )
        ],
    ),
    "pipe-kinesis.json": (Trigger.S3, [expected("", error="unsupported event: a record of aws:kinesis")]),
    "lambda-failure.json": (
        Trigger.S3,
        [expected("", Job(UPLOADS, "shop/denied once.jpg", "0068EB6A1B4A90D112"))],
    ),
    "unknown-object.json": (Trigger.S3, [expected("", error="unsupported event: an object with ['hello']")]),
    "kinesis.json": (Trigger.S3, [expected("", error="unsupported event: a record of aws:kinesis")]),
}

REQUESTS: dict[str, Request] = {
    "direct-paths.json": Request(
        input_paths=[f"s3://{UPLOADS}/shop/red-shoe.jpg", f"s3://{UPLOADS}/holiday 2026/beach + dog (1).jpg"],
        normalize=True,
        output_paths=[f"s3://{RESULTS}/shop/"],
    ),
    "direct-inline.json": Request(images=[GRADIENT], normalize=False),
    "direct-mixed.json": Request(input_paths=[f"s3://{UPLOADS}/shop/red-shoe.jpg"], images=[GRADIENT]),
    "direct-texts.json": Request(texts=["a photo of a red shoe", "赤い靴"]),
    "direct-check.json": Request(check=True),
    "direct-store.json": Request(input_paths=[f"s3://{UPLOADS}/shop/red-shoe.jpg"], store=True),
}


def load(file: str) -> Any:
    return json.loads((EVENTS / file).read_text(encoding="utf-8"))


def test_every_file_has_one_row() -> None:
    assert sorted([*TRIGGERS, *REQUESTS, *REFUSED]) == FILES


def test_readme_names_every_file_once() -> None:
    named = re.findall(r"^\| `([^`]+\.json)` \|", (EVENTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == FILES


@pytest.mark.parametrize("file", FILES)
def test_file_is_pretty_printed(file: str) -> None:
    text = (EVENTS / file).read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("file", TRIGGERS)
def test_event_becomes_its_jobs(file: str) -> None:
    work = read_event(load(file))
    assert isinstance(work, Work)
    read = [
        Expected(
            message.id, message.jobs, str(message.error).partition(";")[0] if message.error else None, message.group
        )
        for message in work.messages
    ]
    assert (work.trigger, read) == TRIGGERS[file]


@pytest.mark.parametrize("file", ["s3-batch-1.0.json", "s3-batch-2.0.json"])
def test_batch_keeps_what_its_sender_wants_back(file: str) -> None:
    event = load(file)
    work = read_event(event)
    assert isinstance(work, Work)
    assert (work.invocation_id, work.schema_version) == (event["invocationId"], event["invocationSchemaVersion"])


REFUSED = {
    "direct-invalid.json": "input_paths: Input should be a valid list; normalise: Extra inputs are not permitted"
}


@pytest.mark.parametrize("file", REQUESTS)
def test_request_is_read(file: str) -> None:
    direct = read_event(load(file))
    assert isinstance(direct, Direct)
    assert parse(direct.body) == REQUESTS[file]


@pytest.mark.parametrize("file", REFUSED)
def test_request_is_refused(file: str) -> None:
    direct = read_event(load(file))
    assert isinstance(direct, Direct)
    with pytest.raises(RequestError, match=re.escape(REFUSED[file])):
        parse(direct.body)


def test_inline_image_is_an_image(world: World) -> None:
    (file,) = respond(load("direct-inline.json"), world.pipeline, Deadline(30))["task_output"]["files"]
    assert (file["file_path"], file["status"]) == ("gradient-8x6", "success")
    assert file["embedding"]["normalized"] is False


def test_longest_key_is_as_long_as_s3_allows() -> None:
    assert len(LONGEST_KEY.encode()) == 1024
