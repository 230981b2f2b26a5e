"""The HTTP API over real HTTP: Function URL of the local AWS, runtime client, function, S3, DynamoDB, S3 Vectors."""

import base64
import io
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from infra.common.local_stack import Stack, page_address
from infra.local.server import local_aws
from infra.local.stack import deploy
from tests.end_to_end.test_direct_invoke import invoke
from tests.end_to_end.test_search import embed, search
from tests.end_to_end.test_uploads import item, put
from tests.support.bundles import DIM, write_tiny_bundle
from tests.support.functions import unqualified
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually
from tests.support.text_bundles import add_text

if TYPE_CHECKING:
    from openai import OpenAI

PHOTO = encoded(picture(320, 200, seed=31), "JPEG", quality=95)


def client_of(stack: Stack, token: str | None = None) -> httpx.Client:
    assert stack.api_url
    headers = {"authorization": f"Bearer {token or stack.token}"}
    return httpx.Client(base_url=stack.api_url, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack) as client:
        yield client


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with filters of keys, and a model with a text tower."""
    folder = tmp_path_factory.mktemp("filtered")
    bundle = write_tiny_bundle(folder / "tiny")
    add_text(bundle, DIM)
    with local_aws(folder / "aws.log") as aws:
        yield deploy(aws, bundle, parameters={"KeyPrefix": "in/", "KeySuffix": ".png"})


def finished(api: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait until a job is done."""
    states: list[str] = []

    def is_done() -> bool:
        states.append(api.get(f"/jobs/{job_id}").json()["status"])
        return states[-1] == "ok"

    assert eventually(is_done, 60)
    assert set(states) <= {"queued", "ok"}
    answer: dict[str, Any] = api.get(f"/jobs/{job_id}").json()
    return answer


def curl(*arguments: str) -> Any:
    done = subprocess.run(
        [shutil.which("curl") or "curl", "--silent", "--show-error", "--noproxy", "*", *arguments],
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def run_job_with_curl(stack: Stack, photo: Path, normalize: str) -> dict[str, Any]:
    bearer = ("--header", f"Authorization: Bearer {stack.token}")
    job = curl(
        *bearer,
        "-X",
        "POST",
        f"{stack.api_url}/jobs/clip_embedding",
        "-F",
        f"file=@{photo}",
        "-F",
        f"normalize={normalize}",
        "-F",
        "priority=5",
    )
    assert job.keys() == {"job_id", "status"}
    assert job["status"] == "queued"
    with client_of(stack) as api:
        finished(api, job["job_id"])
    answer: dict[str, Any] = curl(*bearer, f"{stack.api_url}/jobs/{job['job_id']}")
    return answer


def test_a_job_with_curl_gives_the_vector_of_a_direct_invocation(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(PHOTO)
    answer = run_job_with_curl(stack, tmp_path / "cat.jpg", "true")
    output = answer["task_output"]
    assert (answer["status"], output["total_files"], output["normalize"]) == ("ok", 1, True)
    direct, _ = invoke(stack, {"images": [{"id": "a", "data": base64.b64encode(PHOTO).decode()}]})
    (entry,) = output["files"]
    (expected,) = direct["task_output"]["files"]
    assert entry["embedding"] == expected["embedding"]
    assert entry["labels"] == expected["labels"]
    assert entry["file_path"] == stack.source(f"jobs/{answer['job_id']}/0-cat.jpg")
    assert item(stack, f"jobs/{answer['job_id']}/0-cat.jpg")["status"] == "success"


def test_a_job_without_normalisation(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(PHOTO)
    (entry,) = run_job_with_curl(stack, tmp_path / "cat.jpg", "false")["task_output"]["files"]
    request = {"images": [{"id": "a", "data": base64.b64encode(PHOTO).decode()}], "normalize": False}
    (expected,) = invoke(stack, request)[0]["task_output"]["files"]
    assert entry["embedding"]["normalized"] is expected["embedding"]["normalized"] is False
    assert np.allclose(entry["embedding"]["embedding"], expected["embedding"]["embedding"], rtol=1e-5, atol=1e-7)


def test_a_job_of_a_stack_with_filters(filtered: Stack, tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    photo.write_bytes(encoded(picture(64, 48, seed=1)))
    answer = run_job_with_curl(filtered, photo, "true")
    (entry,) = answer["task_output"]["files"]
    assert (entry["status"], entry["embedding"]["embedding_dim"]) == ("success", DIM)
    assert entry["file_path"] == filtered.source(f"in/jobs/{answer['job_id']}/0-cat.png")
    with client_of(filtered) as api:
        refused = api.post("/jobs/clip_embedding", files={"file": ("cat.jpg", PHOTO)})
        assert (refused.status_code, refused.json()["error_code"]) == (400, "invalid_request")
        for key in ("in/cat.jpg", "cat.png"):
            put(filtered, key, PHOTO)
            assert api.get("/images", params={"source": filtered.source(key)}).status_code == 404
        listed = api.get("/items").json()["items"]
        assert {one["source"] for one in listed} == {entry["file_path"]}


def test_several_files_one_of_which_is_no_picture(api: httpx.Client) -> None:
    files = [("file", ("same.png", encoded(picture(90, 70, seed=seed)))) for seed in range(2)]
    job = api.post("/jobs/clip_embedding", files=[*files, ("file", ("same.png", b"no picture"))])
    assert job.status_code == 202
    output = finished(api, job.json()["job_id"])["task_output"]
    assert [entry["error_code"] for entry in output["files"]] == [None, None, "unsupported_format"]
    assert output["total_files"] == 3


def test_a_search_over_http_is_that_of_a_direct_invocation(stack: Stack, api: httpx.Client) -> None:
    for number in range(3):
        embed(stack, f"http/{number}.png", 300 + number)
    request = {"query": {"source": stack.source("http/0.png")}, "filter": {"key": {"$startsWith": "http/"}}, "k": 2}
    answer = api.post("/search", json=request)
    assert answer.json() == search(stack, **request)
    assert len(answer.json()["hits"]) == 2
    by_file = api.post("/search", files={"file": encoded(picture(90, 70, seed=301))}, data={"k": "1"}).json()
    assert by_file["hits"][0]["source"] == stack.source("http/1.png")


def test_pictures_of_an_item(stack: Stack, api: httpx.Client) -> None:
    embed(stack, "http/pictures/ä b+1.png", 310)
    source = {"source": stack.source("http/pictures/ä b+1.png")}
    assert api.get("/items", params=source).json()["format"] == "png"
    redirect = api.get("/images", params=source)
    assert redirect.status_code == 302
    original = httpx.get(redirect.headers["location"], trust_env=False)
    assert original.content == encoded(picture(90, 70, seed=310))
    assert original.headers["content-type"] == "image/png"
    thumbnail = api.get("/thumbnails", params={**source, "size": 32})
    assert Image.open(io.BytesIO(thumbnail.content)).size == (32, 25)
    again = api.get("/thumbnails", params={**source, "size": 32}, headers={"if-none-match": thumbnail.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_large_upload_is_found(stack: Stack, api: httpx.Client) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
    photo = io.BytesIO()
    Image.fromarray(pixels).save(photo, "PNG")
    data = photo.getvalue()
    assert len(data) > 5_000_000
    too_large = api.post("/search", files={"file": data[:4_200_000]})
    assert (too_large.status_code, too_large.json()["error_code"]) == (413, "request_too_large")
    assert "POST /uploads" in too_large.json()["error"]
    assert api.post("/search", files={"file": data}).status_code == 413  # the platform's answer

    form = api.post("/uploads", json={"filename": "noise.png", "content_type": "image/png"}).json()
    sent = httpx.post(form["url"], data=form["fields"], files={"file": ("noise.png", data)}, trust_env=False)
    assert sent.status_code in {200, 201, 204}
    source = form["source"]
    assert eventually(lambda: api.post("/search", json={"query": {"source": source}}).status_code == 200, 60)
    assert api.get("/items", params={"source": source}).json()["bytes"] == len(data)


# The local AWS checks the policy, not its signature, which tests/unit/test_presigning.py compares with botocore's.
@pytest.mark.parametrize(
    "change",
    [
        {"key": "uploads/other.png"},
        {"key": "jobs/${filename}"},
        {"Content-Type": "text/html"},
        {"bucket": "other"},
        {"policy": base64.b64encode(b'{"expiration": "2999-01-01T00:00:00Z", "conditions": []}').decode()},
        {"x-amz-date": "20991231T000000Z"},
        {"x-amz-meta-files": "100"},
    ],
)
def test_a_form_cannot_be_changed(stack: Stack, api: httpx.Client, change: dict[str, str]) -> None:
    form = api.post("/uploads", json={"filename": "a.png", "content_type": "image/png"}).json()
    fields = {**form["fields"], **change}
    sent = httpx.post(form["url"], data=fields, files={"file": ("a.png", PHOTO)}, trust_env=False)
    assert sent.status_code in {400, 403}
    key = fields["key"].replace("${filename}", "a.png")
    assert stack.s3.list_objects_v2(Bucket=stack.uploads_bucket, Prefix=key)["KeyCount"] == 0


@pytest.fixture
def small_limit(filtered: Stack) -> Iterator[Stack]:
    """The stack with filters, whose function takes at most 1,000 bytes."""
    before = environment(filtered)
    update(filtered, before | {"MAX_IMAGE_BYTES": "1000"})
    yield filtered
    update(filtered, before)


def environment(stack: Stack) -> dict[str, str]:
    found = stack.lambda_.get_function_configuration(FunctionName=stack.api or "")
    return dict(found["Environment"]["Variables"])


def update(stack: Stack, variables: dict[str, str]) -> None:
    """Change the function's environment, and wait until it has it."""
    stack.lambda_.update_function_configuration(
        FunctionName=unqualified(stack.api), Environment={"Variables": variables}
    )
    limit = int(variables["MAX_IMAGE_BYTES"])
    request = {"filename": "a.png", "content_type": "image/png"}
    with client_of(stack) as api:
        assert eventually(lambda: api.post("/uploads", json=request).json()["max_bytes"] == limit, 30)


def test_a_form_takes_no_larger_file(small_limit: Stack) -> None:
    with client_of(small_limit) as api:
        form = api.post("/uploads", json={"filename": "a.png", "content_type": "image/png"}).json()
    for size, is_taken in ((1001, False), (0, False), (1000, True)):
        sent = httpx.post(form["url"], data=form["fields"], files={"file": b"x" * size}, trust_env=False)
        assert (sent.status_code < 300) == is_taken


def test_a_browser_may_send_a_form_to_the_bucket(stack: Stack, api: httpx.Client) -> None:
    form = api.post("/uploads", json={"filename": "a.png", "content_type": "image/png"}).json()
    asked = {"origin": "https://gallery.example", "access-control-request-method": "POST"}
    preflight = httpx.options(form["url"], headers=asked, trust_env=False)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in {"*", "https://gallery.example"}
    (rule,) = stack.s3.get_bucket_cors(Bucket=stack.uploads_bucket)["CORSRules"]
    assert (rule["AllowedOrigins"], rule["AllowedMethods"], rule["AllowedHeaders"]) == (["*"], ["GET", "POST"], ["*"])


def test_the_api_itself_is_closed_to_other_origins(stack: Stack, api: httpx.Client) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    preflight = api.options("/items", headers=asked)
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in api.get("/items", headers=asked).headers


def test_a_token_is_needed_and_can_be_changed(filtered: Stack) -> None:
    with client_of(filtered, "wrong") as api:
        assert api.get("/items").status_code == 401
        assert api.get("/", follow_redirects=True).status_code == 200
        assert api.get("/health").json()["status"] == "ok"
    secrets = secrets_of(filtered)
    (secret,) = secrets.list_secrets()["SecretList"]
    secrets.put_secret_value(SecretId=secret["ARN"], SecretString="another-token")
    time.sleep(10)  # as long as a wrong token does not make the function read the secret again
    with client_of(filtered, "another-token") as api:
        assert api.get("/items").status_code == 200
    with client_of(filtered) as api:
        assert api.get("/items").status_code == 401
    secrets.put_secret_value(SecretId=secret["ARN"], SecretString=filtered.token)
    time.sleep(10)
    with client_of(filtered) as api:
        assert api.get("/items").status_code == 200


def secrets_of(stack: Stack) -> Any:
    from infra.common.local_session import CONFIG, session

    make_client: Any = session().client
    return make_client("secretsmanager", endpoint_url=stack.endpoint, config=CONFIG)


@pytest.fixture
def openai_client(filtered: Stack) -> Iterator[Callable[[str | None], "OpenAI"]]:
    """Makes OpenAI's own client with a key."""
    from openai import DefaultHttpxClient, OpenAI  # takes a second, in every process that collects the tests

    with DefaultHttpxClient(trust_env=False) as transport:
        yield lambda key: OpenAI(base_url=filtered.api_url, api_key=key, max_retries=0, http_client=transport)


def test_openais_client_embeds_texts_and_images(
    filtered: Stack, openai_client: Callable[[str | None], "OpenAI"]
) -> None:
    from openai import AuthenticationError, BadRequestError

    client = openai_client(filtered.token)
    name = httpx.get(f"{filtered.api_url}/health", trust_env=False).json()["model"]
    texts = ["a beach", "two dogs"]
    found = client.embeddings.create(model=name, input=texts)  # asks for base64, and decodes it
    assert [len(each.embedding) for each in found.data] == [DIM, DIM]
    plain = client.embeddings.create(model=name, input=texts, encoding_format="float", dimensions=DIM)
    assert np.array_equal(
        np.array([each.embedding for each in found.data], np.float32),
        np.array([each.embedding for each in plain.data], np.float32),
    )
    assert np.linalg.norm(found.data[0].embedding) == pytest.approx(1, abs=1e-5)
    uri = f"data:image/png;base64,{base64.b64encode(encoded(picture(64, 48, seed=1))).decode()}"
    image = client.embeddings.create(model=name, input=uri, extra_body={"modality": "image"})
    direct, _ = invoke(filtered, {"images": [{"id": "a", "data": uri.partition(",")[2]}]})
    expected = direct["task_output"]["files"][0]["embedding"]["embedding"]
    assert np.array_equal(np.array(image.data[0].embedding, np.float32), np.array(expected, np.float32))
    for request in ({"model": "text-embedding-3-small", "input": "x"}, {"model": name, "input": [[1, 2, 3]]}):
        with pytest.raises(BadRequestError) as error:
            client.embeddings.create(**request)
        assert error.value.response.json()["error_code"] == "invalid_request"
    with pytest.raises(AuthenticationError):
        openai_client("wrong").embeddings.create(model=name, input="x")


@pytest.mark.parametrize(
    "key", ["http/<script>alert(1).png", "http/\"'&.png", "http/..%2F..%2Fx.png", "http/\u202egpj.png"]
)
def test_names_that_attack_are_only_text(stack: Stack, api: httpx.Client, key: str) -> None:
    embed(stack, key, 320)
    source = stack.source(key)
    answer = api.get("/items", params={"source": source})
    assert answer.json()["source"] == source
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    original = httpx.get(api.get("/images", params={"source": source}).headers["location"], trust_env=False)
    assert original.content == encoded(picture(90, 70, seed=320))


def test_a_name_in_a_form_cannot_add_headers(stack: Stack, api: httpx.Client) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a%0D%0Ax-amz-acl: public-read.png"\r\n'
        b"Content-Type: text/html\r\n\r\n" + PHOTO + b"\r\n--b--\r\n"
    )
    job = api.post("/jobs/clip_embedding", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    (entry,) = finished(api, job.json()["job_id"])["task_output"]["files"]
    key = entry["file_path"].removeprefix(stack.source(""))
    assert key.endswith("/0-a__x-amz-acl: public-read.png")
    assert stack.s3.head_object(Bucket=stack.uploads_bucket, Key=key)["ContentType"] == "image/jpeg"


@pytest.mark.parametrize("bucket", ["results", "other"])
def test_nothing_outside_the_uploads_bucket_can_be_read(stack: Stack, api: httpx.Client, bucket: str) -> None:
    name = stack.results_bucket if bucket == "results" else "dropvec-artifacts"
    (entry, *_) = stack.s3.list_objects_v2(Bucket=name)["Contents"]
    for source in (f"s3://{name}/{entry['Key']}", stack.source(f"../{name}/{entry['Key']}")):
        for path in ("/items", "/images", "/thumbnails"):
            answer = api.get(path, params={"source": source})
            assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")


def test_the_page_and_its_address(stack: Stack, api: httpx.Client) -> None:
    address = page_address(stack)
    assert address == f"{stack.api_url}/#token={stack.token}"
    assert str(stack.api_url).startswith("http://127.0.0.1:")
    answer = httpx.get(address, trust_env=False)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert stack.endpoint in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert (stack.token or "") not in answer.text


def test_without_search_there_is_no_http_api(tmp_path: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        stack = deploy(aws, write_tiny_bundle(tmp_path / "tiny"), parameters={"Search": "false"})
        assert (stack.api_url, stack.token) == (None, None)
        assert httpx.get(aws.api_url, trust_env=False).status_code == 503


def test_with_iam_there_is_no_token(tmp_path: Path) -> None:
    with local_aws(tmp_path / "aws.log") as aws:
        stack = deploy(aws, write_tiny_bundle(tmp_path / "tiny"), parameters={"Api": "iam"})
        assert (stack.api_url, stack.token) == (aws.api_url, None)
        assert httpx.get(f"{aws.api_url}/items", trust_env=False).status_code == 403
