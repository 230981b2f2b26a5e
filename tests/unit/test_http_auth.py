"""Who may send HTTP requests, and what is written to the log about them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from handler.api.http.auth import MAX_AGE_SECONDS, MIN_AGE_SECONDS, TokenCheck
from handler.api.http.server import serve
from handler.aws.sdk.errors import NetworkError, ServiceError
from handler.errors import RetryableError, UnauthorizedError
from handler.timing import Deadline
from tests.support.http_api import TOKEN, FakeSecrets, HttpApi, Part, http_event
from tests.support.pictures import encoded, picture

CLOSED = [
    ("GET", "/items"),
    ("GET", "/images"),
    ("GET", "/thumbnails"),
    ("GET", "/jobs/00000000-0000-4000-8000-000000000000"),
    ("POST", "/jobs/clip_embedding"),
    ("POST", "/search"),
    ("POST", "/embeddings"),
    ("POST", "/uploads"),
    ("GET", "/none"),
    ("OPTIONS", "/items"),
    ("TRACE", "/items"),
]
WRONG = [
    "",
    TOKEN,
    "Bearer",
    "Bearer ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    f"Bearer {TOKEN}, Bearer {TOKEN}",
    f"Basic {TOKEN}",
    f"Bearer x{TOKEN}",
    f"Bearer {'x' * 10_000}",
    "Bearer ä\udc80",
    "AWS4-HMAC-SHA256 Credential=x",
]


@pytest.mark.parametrize("authorization", WRONG)
def test_a_missing_or_wrong_token(api: HttpApi, authorization: str) -> None:
    api.headers = {"authorization": authorization}
    with api.state.server.answering(lambda _: None) as requests:
        reply = api.get("/items")
    assert (reply.status, reply.code, reply.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert requests == []
    assert TOKEN not in reply.json["error"]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_every_route_but_the_public_ones_needs_a_token(api: HttpApi, method: str, path: str) -> None:
    api.headers = {}
    assert api.event(http_event(method, path, body=b"x" * 9)).status == 401


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_scheme_is_case_insensitive(api: HttpApi, header: str) -> None:
    api.headers = {"authorization": header}
    assert api.get("/items").status == 200


def test_a_token_in_the_address_is_none(api: HttpApi) -> None:
    api.headers = {}
    for name in ("token", "access_token", "authorization"):
        assert api.get("/items", **{name: TOKEN}).status == 401


def test_tokens_are_compared_in_constant_time(api: HttpApi, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append((one, two))
        return one == two

    monkeypatch.setattr("handler.api.http.auth.hmac.compare_digest", compare)
    assert api.get("/items").status == 200
    api.headers = {"authorization": "Bearer wrong"}
    assert api.get("/items").status == 401
    assert compared == [(TOKEN.encode(),) * 2, *[(b"wrong", TOKEN.encode())] * 2]


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def make_check() -> tuple[Any, FakeSecrets, Clock]:
    secrets, clock = FakeSecrets(), Clock()
    made: Any = TokenCheck(secrets, "secret", clock)  # type: ignore[arg-type]
    return made, secrets, clock


def is_right(check: Any, token: str) -> bool:
    try:
        check.require(f"Bearer {token}", Deadline(30))
    except UnauthorizedError:
        return False
    return True


def test_a_rotation_ends_the_old_token_within_five_minutes() -> None:
    check, secrets, clock = make_check()
    assert is_right(check, TOKEN)
    secrets.text = "another"
    clock.now += MAX_AGE_SECONDS - 1
    assert is_right(check, TOKEN)
    clock.now += 1
    assert not is_right(check, TOKEN)
    assert is_right(check, "another")
    assert MAX_AGE_SECONDS == 300


def test_a_new_token_is_right_at_once() -> None:
    check, secrets, clock = make_check()
    assert is_right(check, TOKEN)
    secrets.text = "another"
    clock.now += MIN_AGE_SECONDS
    assert is_right(check, "another")
    assert not is_right(check, TOKEN)


def test_wrong_tokens_do_not_read_the_secret_each_time() -> None:
    check, secrets, clock = make_check()
    for _ in range(1000):
        assert not is_right(check, "wrong")
    clock.now += MIN_AGE_SECONDS
    for _ in range(1000):
        assert not is_right(check, "wrong")
    assert secrets.reads == 2


def test_a_clock_that_is_set_back_does_not_keep_an_old_token() -> None:
    check, secrets, clock = make_check()
    assert is_right(check, TOKEN)
    secrets.text = "another"
    clock.now -= 3600
    assert not is_right(check, TOKEN)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_secret_lets_nobody_in(text: str) -> None:
    check, secrets, _ = make_check()
    secrets.text = text
    for token in ("", " ", "x"):
        with pytest.raises((UnauthorizedError, RetryableError)):
            check.require(f"Bearer {token}", Deadline(30))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NetworkError("lost"), "unavailable"),
        (ServiceError("GetSecretValue", 400, "AccessDeniedException", "no", {}), "access_denied"),
        (ServiceError("GetSecretValue", 400, "ResourceNotFoundException", "no", {}), "unavailable"),
    ],
)
def test_a_secret_that_cannot_be_read_is_503(api: HttpApi, error: Exception, code: str) -> None:
    api.seconds, api.secrets.error = 1.0, error
    reply = api.get("/items")
    assert (reply.status, reply.code) == (503, code)


def test_with_iam_no_token_is_needed(api: HttpApi) -> None:
    api.services = replace(api.services, token=None)
    api.headers = {}
    assert api.get("/items").status == 200


def test_a_stack_without_an_http_api() -> None:
    payload = serve(None, http_event("GET", "/"), Deadline(30), None)
    assert (payload["statusCode"], json.loads(payload["body"])["error_code"]) == (403, "api_off")


def test_the_log_has_neither_tokens_nor_names_nor_pictures(api: HttpApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.get("/items", source="s3://uploads/private.png")
    api.get("/items", token=TOKEN)
    api.get(f"/{TOKEN}")
    api.event(http_event(f"{TOKEN}", "/items", headers=api.headers))
    api.post("/search", {"query": {"text": "private words"}})
    api.post_form("/jobs/clip_embedding", Part("file", encoded(picture()), "private.png"))
    api.headers = {"authorization": f"Bearer {TOKEN}-wrong"}
    api.get("/items", source="s3://uploads/private.png")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert TOKEN not in json.dumps(lines)
    assert "private" not in json.dumps(lines)
    assert [(line["route"], line["status"]) for line in lines] == [
        ("readItems", 404),
        ("readItems", 400),
        (None, 404),
        ("readItems" if lines[3]["route"] else None, 405),
        ("search", 400),
        ("createJob", 202),
        ("readItems", 401),
    ]
    assert lines[0] == {
        "level": "INFO",
        "request_id": "request-1",
        "method": "GET",
        "route": "readItems",
        "status": 404,
        "ms": lines[0]["ms"],
        "bytes": lines[0]["bytes"],
        "error_code": "not_found",
    }


def test_a_defect_is_500_and_its_trace_is_in_the_log(
    api: HttpApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("handler.api.items.ItemReader.read_many", fail)
    payload = serve(api.services, http_event("GET", "/items", headers=api.headers), Deadline(30), "r")
    body = json.loads(payload["body"])
    assert (payload["statusCode"], body["error_code"]) == (500, "internal")
    assert "Traceback" not in payload["body"]
    written = capsys.readouterr()
    assert json.loads(written.out)["level"] == "ERROR"
    assert "ZeroDivisionError" in written.err
