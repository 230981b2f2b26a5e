"""The routes of the HTTP API: answers, statuses, and what a bad request gets."""

import base64
import hashlib
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from openapi_spec_validator import validate
from PIL import Image

from handler.api.http.openapi import openapi
from handler.api.http.request import MAX_BODY_BYTES
from handler.api.http.routes import ROUTES
from handler.api.http.scope import Scope
from tests.support.http_api import BOUNDARY, HttpApi, Part, form, http_event, with_scope
from tests.support.pictures import encoded, picture
from tests.unit.conftest import UPLOADS, World


def png(seed: int = 0) -> bytes:
    return encoded(picture(90, 70, seed=seed))


def source(key: str) -> str:
    return f"s3://{UPLOADS}/{key}"


@pytest.fixture
def filled(world: World, api: HttpApi) -> HttpApi:
    """The API with three indexed pictures, a rejected file, and an object without an item."""
    for number in range(3):
        world.put(f"in/{number}.png", png(number))
        world.process(f"in/{number}.png")
    world.put("in/text.png", b"no picture")
    world.process("in/text.png")
    world.put("in/waiting.png", png(9))
    api.index(*(f"in/{number}.png" for number in range(3)))
    return api


def test_the_document_is_valid_openapi() -> None:
    document = openapi()
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {route.path for route in ROUTES}


def test_public_routes_need_no_token(api: HttpApi) -> None:
    api.headers = {}
    assert api.get("/openapi.json").json == json.loads(json.dumps(openapi()))
    identity = api.services.identity
    health = {"status": "ok", "model": identity.name, "fingerprint": identity.fingerprint}
    assert api.get("/health").json == health
    assert api.get("/").status == 200
    assert api.secrets.reads == 0


def test_the_page_allows_only_its_own_script_and_styles(api: HttpApi) -> None:
    reply = api.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    bucket = api.state.server.endpoint
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    (script,) = re.findall(r'<script type="module">(.*?)</script>', reply.body.decode(), re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", reply.body.decode(), re.DOTALL)
    assert policy == {
        "default-src": "'none'",
        "script-src": sha256_source(script),
        "style-src": sha256_source(style),
        "img-src": f"blob: data: {bucket}",
        "connect-src": f"'self' {bucket}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    again = api.get("/", headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def sha256_source(text: str) -> str:
    """A text as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_item_of_an_object(world: World, filled: HttpApi) -> None:
    found = filled.get("/items", source=source("in/0.png")).json
    item = world.item("in/0.png")
    assert set(item) == set(found)
    assert (found["width"], found["height"], found["format"], found["bytes"]) == (90, 70, "png", len(png()))
    assert np.array_equal(np.array(found["embedding"], np.float32), np.frombuffer(item["embedding"], "<f4"))
    assert found["norm"] == float(item["norm"])
    rejected = filled.get("/items", source=source("in/text.png")).json
    assert (rejected["status"], rejected["error_code"]) == ("error", "unsupported_format")


@pytest.mark.parametrize(
    "address",
    [
        source("in/waiting.png"),
        source("none.png"),
        "s3://elsewhere/in/0.png",
        f"s3://{UPLOADS}-2/in/0.png",
        "s3://results/in/0.png",
        f"s3://{UPLOADS}/../results/in/0.png",
        f"s3://{UPLOADS}/{'x' * 1025}",
        f"s3://{UPLOADS}/\0",
    ],
)
@pytest.mark.parametrize("path", ["/items", "/images", "/thumbnails"])
def test_what_has_no_item_cannot_be_seen(filled: HttpApi, path: str, address: str) -> None:
    reply = filled.get(path, source=address)
    assert (reply.status, reply.code) == (404, "not_found")


def test_a_deleted_object_is_gone(world: World, filled: HttpApi) -> None:
    world.delete("in/0.png")
    world.process("in/0.png", "02")
    assert filled.get("/items", source=source("in/0.png")).status == 404
    keys = [item["source"] for item in filled.get("/items", prefix="in/").json["items"]]
    assert keys == [source("in/1.png"), source("in/2.png"), source("in/text.png")]


def test_pages_of_items_are_in_the_order_of_keys(world: World, api: HttpApi) -> None:
    for number in range(3):
        world.put(f"a/{number}.png", png(number))
        world.process(f"a/{number}.png")
    world.put("b/0.png", png())
    world.process("b/0.png")
    page = api.get("/items").json
    assert [item["source"] for item in page["items"]] == [
        source(key) for key in ("a/0.png", "a/1.png", "a/2.png", "b/0.png")
    ]
    assert all("embedding" not in item for item in page["items"])
    assert page["next"] is None
    assert [item["source"] for item in api.get("/items", prefix="b").json["items"]] == [source("b/0.png")]
    assert api.get("/items", prefix="c").json == {"items": [], "next": None}


def test_a_listing_goes_on_where_the_page_before_ended(world: World, api: HttpApi) -> None:
    keys = [f"{number:03}.png" for number in range(230)]
    data = png()
    for key in keys:
        world.put(key, data)
    for key in keys[::10]:
        world.process(key)
    found, token, pages = [], None, 0
    while True:
        page = api.get("/items", **({} if token is None else {"next": token})).json
        found += [item["source"] for item in page["items"]]
        token, pages = page["next"], pages + 1
        if token is None:
            break
    assert (found, pages) == ([source(key) for key in keys[::10]], 3)


@pytest.mark.parametrize(
    "query",
    [
        {"next": "none"},
        {"next": base64.urlsafe_b64encode(b'["a/", "a/1"]').decode(), "prefix": "b/"},
        {"next": base64.urlsafe_b64encode(b'["", 1]').decode()},
        {"next": base64.urlsafe_b64encode(b'["a/", "b/1"]').decode(), "prefix": "a/"},
        {"next": base64.urlsafe_b64encode(b"[]").decode()},
        {"source": source("a.png"), "prefix": "a"},
        {"source": ""},
        {"source": "a.png"},
        {"source": "s3://"},
        {"source": "https://example.com/a.png"},
        {"sourc": source("a.png")},
    ],
)
def test_bad_parameters_of_items(api: HttpApi, query: dict[str, str]) -> None:
    reply = api.get("/items", **query)
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize("prefix", ["\0", "x" * 1025, "ä" * 600])
def test_a_prefix_that_no_key_has(api: HttpApi, prefix: str) -> None:
    assert api.get("/items", prefix=prefix).json == {"items": [], "next": None}


def test_parameters_that_are_given_twice_or_are_no_utf_8(api: HttpApi) -> None:
    for query in ("source=s3://a/b&source=s3://a/c", "source=%ff", "&".join(f"a{n}=1" for n in range(60))):
        reply = api.event(http_event("GET", "/items", query, api.headers))
        assert (reply.status, reply.code) == (400, "invalid_request")


def test_filters_of_keys(world: World, filled: HttpApi) -> None:
    world.put("other/0.png", png(7))
    world.process("other/0.png")
    world.put("in/0.jpg", png(8))
    world.process("in/0.jpg")
    filled.index("other/0.png", "in/0.jpg")
    narrow = with_scope(filled, Scope(UPLOADS, "in/", ".png"))
    listed = [f"in/{name}.png" for name in (0, 1, 2, "text")]
    for prefix in ("", "in", "in/"):
        assert [item["source"] for item in narrow.get("/items", prefix=prefix).json["items"]] == [
            source(key) for key in listed
        ]
    assert narrow.get("/items", prefix="other/").json["items"] == []
    for key in ("other/0.png", "in/0.jpg"):
        assert filled.get("/items", source=source(key)).status == 200
        for path in ("/items", "/images", "/thumbnails"):
            assert narrow.get(path, source=source(key)).code == "not_found"
        assert narrow.post("/search", {"query": {"source": source(key)}}).code == "not_found"
    hits = narrow.post("/search", {"query": {"source": source("in/0.png")}}).json["hits"]
    assert {hit["source"] for hit in hits} == {source("in/1.png"), source("in/2.png")}


def test_an_original_is_a_presigned_address(world: World, filled: HttpApi) -> None:
    reply = filled.get("/images", source=source("in/0.png"))
    assert (reply.status, reply.body) == (302, b"")
    address = reply.headers["location"]
    assert address.startswith(f"{filled.state.server.endpoint}/{UPLOADS}/in/0.png?")
    assert "response-content-type=image%2Fpng" in address
    assert "X-Amz-Expires=900" in address
    as_json = filled.get("/images", source=source("in/0.png"), headers={"accept": "application/json"}).json
    assert as_json["url"].partition("?")[0] == address.partition("?")[0]
    for accept in ("*/*", "image/*", "text/html, application/jsonx"):
        assert filled.get("/images", source=source("in/0.png"), headers={"accept": accept}).status == 302


def test_a_file_that_is_no_picture_is_only_downloaded(filled: HttpApi) -> None:
    address = filled.get("/images", source=source("in/text.png")).headers["location"]
    assert "response-content-type=application%2Foctet-stream" in address
    assert "response-content-disposition=attachment" in address


@pytest.mark.parametrize(("size", "shown"), [("16", (16, 12)), ("64", (64, 50)), (None, (90, 70)), ("1024", (90, 70))])
def test_a_thumbnail(filled: HttpApi, size: str | None, shown: tuple[int, int]) -> None:
    options = {} if size is None else {"size": size}
    reply = filled.get("/thumbnails", source=source("in/0.png"), **options)
    assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(reply.body)).size == shown
    assert reply.headers["cache-control"] == "private, max-age=300"


def test_a_browser_keeps_a_thumbnail(world: World, filled: HttpApi) -> None:
    first = filled.get("/thumbnails", source=source("in/0.png"))
    with filled.state.server.answering(lambda _: None) as requests:
        again = filled.get("/thumbnails", source=source("in/0.png"), headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert [request.operation for request in requests] == ["GetItem"]
    other_size = filled.get(
        "/thumbnails", source=source("in/0.png"), size=32, headers={"if-none-match": first.headers["etag"]}
    )
    assert other_size.status == 200
    world.put("in/0.png", png(5))
    world.process("in/0.png", "02")
    changed = filled.get("/thumbnails", source=source("in/0.png"), headers={"if-none-match": first.headers["etag"]})
    assert (changed.status, changed.headers["etag"] == first.headers["etag"]) == (200, False)


def test_the_tag_of_a_thumbnail_is_that_of_the_bytes_which_were_read(world: World, filled: HttpApi) -> None:
    before = filled.get("/thumbnails", source=source("in/0.png"))
    world.put("in/0.png", png(5))  # its item still describes the old one
    between = filled.get("/thumbnails", source=source("in/0.png"))
    world.process("in/0.png", "02")
    after = filled.get("/thumbnails", source=source("in/0.png"))
    assert before.headers["etag"] != between.headers["etag"] == after.headers["etag"]
    assert between.body == after.body


def test_a_thumbnail_of_what_is_no_picture(filled: HttpApi) -> None:
    reply = filled.get("/thumbnails", source=source("in/text.png"))
    assert (reply.status, reply.code) == (422, "unsupported_format")


def test_a_thumbnail_of_an_object_that_is_deleted_meanwhile(world: World, filled: HttpApi) -> None:
    world.delete("in/0.png")
    reply = filled.get("/thumbnails", source=source("in/0.png"))
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("size", ["15", "1025", "-1", "0", "1.5", "many", "", "1_00", "٣٢"])
def test_a_thumbnail_of_another_size(filled: HttpApi, size: str) -> None:
    reply = filled.get("/thumbnails", source=source("in/0.png"), size=size)
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_a_search_is_that_of_a_direct_invocation(filled: HttpApi) -> None:
    request = {"query": {"source": source("in/0.png")}, "k": 2}
    answer = filled.post("/search", request).json
    assert {hit["source"] for hit in answer["hits"]} == {source("in/1.png"), source("in/2.png")}
    assert answer["model"] == filled.services.identity.name
    by_picture = filled.post("/search", {"query": {"image": base64.b64encode(png(1)).decode()}, "k": 1}).json
    by_form = filled.post_form("/search", Part("file", png(1), "a.png"), Part("k", "1")).json
    assert by_form == by_picture
    assert by_form["hits"][0]["source"] == source("in/1.png")
    assert by_form["hits"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_options_of_a_search_as_fields_of_a_form(filled: HttpApi) -> None:
    fields = {"k": "2", "filter": '{"key": "in/2.png"}', "min_score": "-1", "dedupe": "1"}
    parts = [Part(name, value) for name, value in fields.items()]
    answer = filled.post_form("/search", Part("file", png(1), "a.png"), *parts).json
    assert [hit["source"] for hit in answer["hits"]] == [source("in/2.png")]
    first = filled.post_form("/search", Part("file", png(1), "a.png"), Part("k", "1")).json
    second = filled.post_form(
        "/search", Part("file", png(1), "a.png"), Part("k", "1"), Part("next", first["next"])
    ).json
    assert first["hits"] != second["hits"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"query": {"words": "x"}}, 400, "invalid_request"),
        ({"query": []}, 400, "invalid_request"),
        ({"query": {"text": "x"}, "k": 0}, 400, "invalid_request"),
        ({"query": {"text": "x"}, "k": "10"}, 400, "invalid_request"),
        ({"query": {"image": "!"}}, 400, "invalid_request"),
        ({"query": {"image": "data:image/png,raw"}}, 400, "invalid_request"),
        ({"query": {"vector": [1.0]}}, 400, "invalid_request"),
        ({"query": {"vector": [1.0] * 48}, "filter": {"$no": 1}}, 400, "invalid_request"),
        ({"query": {"text": "x"}}, 400, "no_text_tower"),
        ({"query": {"source": source("none.png")}}, 404, "not_found"),
        ({"query": {"source": f"s3://{UPLOADS}/{'x' * 2000}"}}, 404, "not_found"),
        ({"query": {"source": source("in/text.png")}}, 409, "not_indexed"),
        ({"query": {"image": base64.b64encode(b"no picture").decode()}}, 422, "unsupported_format"),
        ({"query": {"image": base64.b64encode(png()[:99]).decode()}}, 422, "corrupt_image"),
        ([], 400, "invalid_request"),
        (None, 400, "invalid_request"),
        ("text", 400, "invalid_request"),
    ],
)
def test_bad_searches(filled: HttpApi, request_: Any, status: int, code: str) -> None:
    reply = filled.post("/search", request_)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        (base64.b64encode(png()).decode(), True),
        (base64.b64encode(png()).decode().rstrip("="), True),
        (base64.urlsafe_b64encode(png()).decode(), True),
        (base64.encodebytes(png()).decode(), True),
        (f"data:image/png;base64,{base64.b64encode(png()).decode()}", True),
        (base64.b64encode(png()).decode()[:-5] + "?", False),
        ("\x00", False),
    ],
)
def test_forms_of_base64(filled: HttpApi, text: str, is_known: bool) -> None:
    reply = filled.post("/search", {"query": {"image": text}})
    assert (reply.status, reply.json.get("error_code")) == ((200, None) if is_known else (400, "invalid_request"))


def test_the_form_of_an_upload(filled: HttpApi) -> None:
    answer = filled.post("/uploads", {"filename": "my photo.png", "content_type": "image/png"}).json
    key = answer["fields"]["key"]
    assert answer["source"] == source(key)
    folder, unique, name = key.split("/")
    assert (folder, len(unique), name) == ("uploads", 36, "my photo.png")
    assert answer["url"] == f"{filled.state.server.endpoint}/{UPLOADS}"
    policy = json.loads(base64.b64decode(answer["fields"]["policy"]))
    assert {"key": key} in policy["conditions"]
    assert {"bucket": UPLOADS} in policy["conditions"]
    assert {"Content-Type": "image/png"} in policy["conditions"]
    assert ["content-length-range", 1, 5_000_000] in policy["conditions"]
    narrow = with_scope(filled, Scope(UPLOADS, "in/", ".png"))
    inside = narrow.post("/uploads", {"filename": "a.png", "content_type": "image/png"}).json
    assert inside["fields"]["key"].startswith("in/uploads/")
    outside = narrow.post("/uploads", {"filename": "a.jpg", "content_type": "image/jpeg"})
    assert (outside.status, outside.code) == (400, "invalid_request")
    assert ".png" in outside.json["error"]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"filename": "a.png"},
        {"filename": "", "content_type": "image/png"},
        {"filename": "a.png", "content_type": "image/png\r\nx: y"},
        {"filename": "a.png", "content_type": "image/png\n"},
        {"filename": "a.png", "content_type": "image/png; charset=x"},
        {"filename": "a.png", "content_type": "image"},
        {"filename": "x" * 256, "content_type": "image/png"},
        {"filename": 1, "content_type": "image/png"},
        {"filename": "a.png", "content_type": "image/png", "key": "b.png"},
    ],
)
def test_bad_uploads(api: HttpApi, request_: dict[str, Any]) -> None:
    reply = api.post("/uploads", request_)
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/search", "POST"),
        ("PUT", "/search", "POST"),
        ("DELETE", "/items", "GET"),
        ("POST", "/items", "GET"),
        ("OPTIONS", "/items", "GET"),
        ("GET", "/jobs/clip_embedding/x", None),
        ("PATCH", "/health", "GET"),
        ("get", "/embeddings", "POST"),
        ("DELETE", "/jobs/clip_embedding", "POST"),
        ("GET", "/jobs/clip_embedding", "POST"),
    ],
)
def test_a_wrong_method_or_route(api: HttpApi, method: str, path: str, allowed: str | None) -> None:
    reply = api.event(http_event(method, path, headers=api.headers))
    expected = (404, "not_found") if allowed is None else (405, "method_not_allowed")
    assert (reply.status, reply.code) == expected
    assert reply.headers.get("allow") == allowed


@pytest.mark.parametrize("path", ["/none", "/items/", "//items", "/Items", "/items/../items", "", "/%69tems"])
def test_an_unknown_route(api: HttpApi, path: str) -> None:
    reply = api.event(http_event("GET", path, headers=api.headers))
    assert (reply.status, reply.json["error_code"] if reply.status != 200 else None) in {
        (404, "not_found"),
        (200, None),
    }
    assert (reply.status == 200) == (path == "")


def test_a_head_request_has_no_body(api: HttpApi) -> None:
    reply = api.send("HEAD", "/health")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("path", ["/search", "/embeddings", "/uploads"])
@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff", b'{"a": NaN}', b"[" * 2000, b'{"a": 1} x'])
def test_malformed_json(api: HttpApi, path: str, body: bytes) -> None:
    reply = api.send("POST", path, body, headers={"content-type": "application/json"})
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/search", "text/plain"),
        ("/search", "application/x-www-form-urlencoded"),
        ("/uploads", "multipart/form-data; boundary=b"),
        ("/embeddings", "application/xml"),
        ("/jobs/clip_embedding", "application/json"),
        ("/jobs/clip_embedding", ""),
    ],
)
def test_a_wrong_content_type(api: HttpApi, path: str, content_type: str) -> None:
    reply = api.send("POST", path, b"{}", headers={"content-type": content_type})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/search", "/embeddings", "/uploads", "/jobs/clip_embedding"])
@pytest.mark.parametrize("content_type", ["application/json", f"multipart/form-data; boundary={BOUNDARY}", "x/y"])
@pytest.mark.parametrize("is_base64", [True, False])
def test_a_body_that_is_too_large(api: HttpApi, path: str, content_type: str, is_base64: bool) -> None:
    event = http_event("POST", path, headers={**api.headers, "content-type": content_type})
    size = MAX_BODY_BYTES + 1
    body = base64.b64encode(b"x" * size).decode() if is_base64 else "x" * size
    reply = api.event({**event, "body": body, "isBase64Encoded": is_base64})
    assert (reply.status, reply.code) == (413, "request_too_large")
    assert "POST /uploads" in reply.json["error"]


def test_a_body_of_the_largest_size(filled: HttpApi) -> None:
    text = json.dumps({"query": {"image": ""}})
    padding = "A" * (MAX_BODY_BYTES - len(text))
    reply = filled.send("POST", "/search", text.replace('""', f'"{padding}"').encode(), headers={"content-type": ""})
    assert (reply.status, reply.code) == (422, "unsupported_format")


def test_base64_of_the_event_that_is_broken(api: HttpApi) -> None:
    event = http_event("POST", "/search", headers={**api.headers, "content-type": "application/json"})
    reply = api.event({**event, "body": "{}", "isBase64Encoded": True})
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["body", "headers", "rawQueryString", "isBase64Encoded"])
@pytest.mark.parametrize("value", [None, 1, [], {}])
def test_an_event_with_fields_of_other_types(api: HttpApi, name: str, value: Any) -> None:
    reply = api.event({**http_event("POST", "/search", headers=api.headers, body=b"{}"), name: value})
    assert reply.status in {400, 401}


def test_a_stage_of_an_http_api(api: HttpApi) -> None:
    event = http_event("GET", "/prod/health")
    event["requestContext"]["stage"] = "prod"
    payload = api.event({**event, "rawPath": "/prod/health"})
    assert payload.status == 200
    assert api.event({**event, "rawPath": "/product/health"}).status in {401, 404}


def test_forms_that_are_none(api: HttpApi) -> None:
    good = form(Part("file", png(), "a.png"))
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    for content_type, body in [
        (kind, good[:-9]),
        (kind, b""),
        (kind, b"{}"),
        (kind.replace(BOUNDARY, "other"), good),
        ("multipart/form-data", good),
        ('multipart/form-data; boundary=""', good),
        (kind, good.replace(b"form-data", b"attachment")),
        (kind, form(Part("priority", "1"))),
        (kind, form(Part("file", b"", ""))),
        (kind, form(Part("file", png(), "a.png"), Part("priority", b"\xff"))),
        (kind, form(Part("file", png(), "a.png"), Part("priority", "x" * 70_000))),
        (kind, form(*(Part("file", b"x", f"{number}.png") for number in range(200)))),
        (kind, form(*(Part("priority", "1") for _ in range(1001)))),
    ]:
        reply = api.send("POST", "/jobs/clip_embedding", body, headers={"content-type": content_type})
        assert (reply.status, reply.code) == (400, "invalid_request"), body[:100]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", "11"),
        ("priority", "-1"),
        ("priority", "1.5"),
        ("priority", "high"),
        ("priority", ""),
        ("normalize", "maybe"),
        ("normalize", "1"),
        ("normalize", ""),
        ("other", "1"),
    ],
)
def test_bad_fields_of_a_job(api: HttpApi, name: str, value: str) -> None:
    reply = api.post_form("/jobs/clip_embedding", Part("file", png(), "a.png"), Part(name, value))
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert name in reply.json["error"]
    twice = api.post_form(
        "/jobs/clip_embedding", Part("file", png(), "a.png"), Part("priority", "1"), Part("priority", "2")
    )
    assert twice.status == 400
