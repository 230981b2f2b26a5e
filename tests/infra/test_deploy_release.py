"""A new version is checked before its alias names it, with the answers that AWS documents."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from infra.common.errors import CheckError, OperatorError
from infra.deploy import live, release
from infra.deploy.live import Note, live_versions
from infra.deploy.plan import Plan
from tests.support.stubbed_account import Stubbed, stubbed_account

FUNCTIONS = {"IndexerName": "indexer", "FunctionName": "function", "ApiName": "api"}
UPDATED = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOW = "2026-11-29T12:00:00+00:00"
STACK: dict[str, Any] = {
    "LastUpdatedTime": UPDATED,
    "Outputs": [{"OutputKey": output, "OutputValue": f"{name}:live"} for output, name in FUNCTIONS.items()],
}
ALONE = STACK | {"Outputs": [{"OutputKey": "FunctionName", "OutputValue": "function:live"}]}
RIGHT = {"status": "ok", "model": "tiny", "embedding_dim": 512}
ANSWERS: dict[str, object] = {"indexer": None, "function": RIGHT, "api": {"status": "ok", "model": "tiny"}}
PLAN = Plan("dropvec", None, {"Search": "true"})
IMAGE = {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/dropvec:2"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubbed]:
    monkeypatch.setattr("infra.deploy.version_check.time.sleep", lambda _: None)
    with stubbed_account() as stubbed:
        yield stubbed


class Account:
    """The answers to the calls of one deployment, in their order; any other call fails the test."""

    def __init__(self, aws: Stubbed) -> None:
        self.aws = aws

    def alias(self, function: str, version: str, note: str = "") -> None:
        answer = {"FunctionVersion": version, "Description": note, "RevisionId": f"{function}-1"}
        self.aws.answer("lambda_", "get_alias", answer, FunctionName=function, Name="live")

    def publish(self, function: str, version: str, *, before: tuple[str, ...] = ("Successful",)) -> None:
        for status in before:
            self.configuration(function, "$LATEST", {"LastUpdateStatus": status})
        self.aws.answer("lambda_", "publish_version", {"Version": version}, FunctionName=function)

    def configuration(self, function: str, qualifier: str, answer: dict[str, str]) -> None:
        expected = {"FunctionName": function, "Qualifier": qualifier}
        self.aws.answer("lambda_", "get_function_configuration", answer, **expected)

    def ready(self, function: str, version: str, *states: str) -> None:
        for state in states or ("Active",):
            self.configuration(function, version, {"State": state})

    def invoke(self, function: str, version: str, answer: object, error: str = "") -> None:
        body = json.dumps(answer).encode()
        payload = StreamingBody(io.BytesIO(body), len(body))
        found = {"Payload": payload, **({"FunctionError": error} if error else {})}
        request = b'{"Records": []}' if function == "indexer" else b'{"check": true}'
        self.aws.answer("lambda_", "invoke", found, FunctionName=function, Qualifier=version, Payload=request)

    def move(self, function: str, version: str, note: str) -> None:
        self.aws.answer("lambda_", "update_alias", {}, **moved(function, version, note))

    def checked(self, function: str, version: str) -> None:
        self.ready(function, version)
        self.invoke(function, version, ANSWERS[function])


def moved(function: str, version: str, note: str) -> dict[str, Any]:
    return {
        "FunctionName": function,
        "Name": "live",
        "FunctionVersion": version,
        "Description": note,
        "RoutingConfig": {"AdditionalVersionWeights": {}},
        "RevisionId": f"{function}-1",
    }


@pytest.fixture
def calls(aws: Stubbed) -> Account:
    return Account(aws)


def test_every_new_version_is_checked_before_the_first_alias_changes(
    aws: Stubbed, calls: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FUNCTIONS.values():
        calls.alias(name, "1")
    for name in FUNCTIONS.values():
        calls.publish(name, "2")
    for name in FUNCTIONS.values():
        calls.checked(name, "2")
    for name in FUNCTIONS.values():
        calls.move(name, "2", f"release={NOW} previous=1")
    versions = release.release(aws.account, STACK, PLAN, yes=True)
    assert versions == dict.fromkeys(FUNCTIONS.values(), "2")
    assert capsys.readouterr().out.splitlines() == [
        "Verified: version 2 of the indexer starts.",
        "Verified: version 2 gives the right vector of its test image (tiny).",
        "Verified: version 2 of the search function answers (tiny).",
        *(f"Version 2 of {name} serves." for name in FUNCTIONS.values()),
    ]


def test_a_function_without_changes_is_left_alone(aws: Stubbed, calls: Account) -> None:
    """Lambda publishes no version then: PublishVersion answers with the last one."""
    for name in FUNCTIONS.values():
        calls.alias(name, "3")
    for name in FUNCTIONS.values():
        calls.publish(name, "4" if name == "api" else "3")
    calls.checked("api", "4")
    calls.move("api", "4", f"release={NOW} previous=3")
    plan = Plan("dropvec", None, {"Api": "iam"})
    assert release.release(aws.account, STACK, plan, yes=True) == {"indexer": "3", "function": "3", "api": "4"}


def test_the_first_release_has_no_version_to_go_back_to(aws: Stubbed, calls: Account) -> None:
    calls.alias("function", "$LATEST")
    calls.publish("function", "1", before=("InProgress", "Successful"))
    calls.ready("function", "1", "Pending", "Pending", "Active")
    calls.invoke("function", "1", RIGHT)
    calls.move("function", "1", f"release={NOW}")
    release.release(aws.account, ALONE, PLAN, yes=True)


WRONG = {"status": "error", "error": "the graph gives another vector (cosine 0.08)", "error_code": "wrong_vector"}


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (WRONG, "", r"version 2 of function is wrong: the graph .* \(cosine 0\.08\)"),
        ({"errorMessage": "no model\nbundle"}, "Unhandled", "version 2 of function fails: no model bundle"),
        ("text", "Unhandled", "version 2 of function fails: text"),
        (None, "", "version 2 of function is wrong: None"),
        (
            RIGHT | {"embedding_dim": 4097},
            "",
            "have 4097 numbers; S3 Vectors accepts up to 4096: deploy without search",
        ),
    ],
)
@pytest.mark.parametrize(
    ("version", "kept"),
    [("1", "nothing was released; still in use: version 1 of function"), ("$LATEST", "deploy another image")],
)
def test_a_version_that_fails_its_check_does_not_serve(  # noqa: PLR0913, PLR0917 - parameters of two lists
    aws: Stubbed, calls: Account, answer: object, error: str, text: str, version: str, kept: str
) -> None:
    calls.alias("function", version)
    calls.publish("function", "2")
    calls.ready("function", "2")
    calls.invoke("function", "2", answer, error)
    with pytest.raises(OperatorError, match=f"{text}.*; {kept}$"):
        release.release(aws.account, ALONE, PLAN, yes=True)


def test_long_vectors_are_accepted_without_search(aws: Stubbed, calls: Account) -> None:
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.ready("function", "2")
    calls.invoke("function", "2", RIGHT | {"embedding_dim": 4097})
    calls.move("function", "2", f"release={NOW} previous=1")
    release.release(aws.account, ALONE, Plan("dropvec", None, {"Search": "false"}), yes=True)


def test_the_model_is_checked_when_search_is_switched_on(aws: Stubbed, calls: Account) -> None:
    calls.alias("function", "2")
    calls.publish("function", "2")
    calls.ready("function", "2")
    calls.invoke("function", "2", RIGHT | {"embedding_dim": 4097})
    with pytest.raises(OperatorError, match="S3 Vectors accepts up to 4096"):
        release.release(aws.account, ALONE, PLAN, yes=True)


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_version_that_an_earlier_run_did_not_use_is_used_after_confirmation(
    aws: Stubbed, calls: Account, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "builtins.input", lambda question: {"Check and use new versions of function? [y/N] ": answer}[question]
    )
    calls.alias("function", "1")
    calls.publish("function", "2")
    if answer == "y":
        calls.checked("function", "2")
        calls.move("function", "2", f"release={NOW} previous=1")
    assert release.release(aws.account, ALONE, Plan("dropvec", None, {}), yes=False) == (
        {"function": "2"} if answer == "y" else {}
    )


@pytest.mark.parametrize(
    "codes",
    [
        ["TooManyRequestsException"] * 19,
        ["ResourceConflictException"],
        ["CodeArtifactUserPendingException", "TooManyRequestsException"],
    ],
)
def test_a_busy_account_and_an_inactive_version_are_tried_again(aws: Stubbed, calls: Account, codes: list[str]) -> None:
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.ready("function", "2", "Inactive")
    for code in codes:
        aws.refuse("lambda_", "invoke", code, 429)
        if code != "TooManyRequestsException":
            calls.ready("function", "2", "Pending", "Active")
    calls.invoke("function", "2", RIGHT)
    calls.move("function", "2", f"release={NOW} previous=1")
    release.release(aws.account, ALONE, PLAN, yes=True)


@pytest.mark.parametrize(
    ("codes", "error", "text"),
    [
        (["AccessDeniedException"], OperatorError, "you lack the permission lambda:InvokeFunction; .*; still in use: "),
        (["TooManyRequestsException"] * 20, ClientError, "TooManyRequestsException"),
        (["InvalidRuntimeException"], ClientError, "InvalidRuntimeException"),
    ],
)
def test_a_version_that_cannot_be_invoked_does_not_serve(
    aws: Stubbed, calls: Account, codes: list[str], error: type[Exception], text: str
) -> None:
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.ready("function", "2")
    for code in codes:
        aws.refuse("lambda_", "invoke", code)
    with pytest.raises(error, match=text):
        release.release(aws.account, ALONE, PLAN, yes=True)


def test_a_version_that_lambda_cannot_make_ready_does_not_serve(aws: Stubbed, calls: Account) -> None:
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.configuration("function", "2", {"State": "Failed", "StateReason": "the image does not exist"})
    with pytest.raises(
        OperatorError, match="Lambda cannot run version 2 of function: the image does not exist; nothing"
    ):
        release.release(aws.account, ALONE, PLAN, yes=True)


def test_a_version_that_is_never_ready_ends_the_command(
    aws: Stubbed, calls: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_READY_SECONDS", -1.0)
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.ready("function", "2", "Pending")
    with pytest.raises(OperatorError, match="version 2 of function is still Pending: run the command again later"):
        release.release(aws.account, ALONE, PLAN, yes=True)


def test_two_deployments_at_once_do_not_overwrite_each_other(aws: Stubbed, calls: Account) -> None:
    calls.alias("function", "1")
    calls.publish("function", "2")
    calls.checked("function", "2")
    aws.refuse("lambda_", "update_alias", "PreconditionFailedException", 412)
    with pytest.raises(
        OperatorError, match="the alias function:live was changed in the meantime: run the command again"
    ):
        release.release(aws.account, ALONE, PLAN, yes=True)


def test_an_alias_of_the_latest_code_gets_a_version_of_it_before_an_update(aws: Stubbed, calls: Account) -> None:
    for name, version in zip(FUNCTIONS.values(), ["$LATEST", "4", "$LATEST"], strict=True):
        calls.alias(name, version, "release=a previous=3")
    for name in ("indexer", "api"):
        calls.publish(name, "5")
        calls.move(name, "5", "")
    release.pin(aws.account, STACK)


def test_a_stack_of_an_earlier_template_has_no_aliases(aws: Stubbed) -> None:
    stack = {"Outputs": [{"OutputKey": "FunctionName", "OutputValue": "function"}]}
    assert not live.has_aliases(stack)
    assert live_versions(aws.account, stack) == []
    assert live.has_aliases(STACK)


@pytest.mark.parametrize(
    ("description", "note"),
    [
        ("", Note()),
        ("release=2026 previous=3", Note("2026", "3")),
        ("withdrawn=4", Note(withdrawn="4")),
        ("my text, with a=b", Note()),
    ],
)
def test_the_note_is_the_description_of_the_alias(description: str, note: Note) -> None:
    assert Note.parse(description) == note
    assert Note.parse(str(note)) == note


# Rollback


@pytest.fixture
def rollback(aws: Stubbed, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, object]]:
    """`deploy --rollback` with these answers; each alias is (version, note)."""

    def run(*aliases: tuple[str, str], yes: bool = True) -> dict[str, object]:
        monkeypatch.setattr(release, "account", lambda: nullcontext(aws.account))
        found = {**STACK, "StackName": "dropvec", "CreationTime": UPDATED, "StackStatus": "UPDATE_COMPLETE"}
        aws.answer("cloudformation", "describe_stacks", {"Stacks": [found]}, StackName="dropvec")
        return release.rollback("dropvec", yes=yes)

    return run


def aliases(calls: Account, *states: tuple[str, str]) -> None:
    for name, (version, note) in zip(FUNCTIONS.values(), states, strict=True):
        calls.alias(name, version, note)


def test_the_functions_of_the_last_release_go_back(
    calls: Account, rollback: Callable[..., dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    last = "release=2026-11-29T12:00:00+00:00"
    aliases(
        calls,
        ("2", "release=2026-11-28T12:00:00+00:00 previous=1"),
        ("7", f"{last} previous=6"),
        ("3", f"{last} previous=2"),
    )
    for name, version in (("function", "6"), ("api", "2")):
        calls.checked(name, version)
    calls.move("function", "6", "withdrawn=7")
    calls.move("api", "2", "withdrawn=3")
    assert rollback() == {"stack": "dropvec", "rolled_back": True, "versions": {"function": "6", "api": "2"}}
    out = capsys.readouterr().out
    assert (
        "function would go back from version 7 to version 6.\napi would go back from version 3 to version 2.\n" in out
    )
    assert "Version 6 of function serves again.\nVersion 2 of api serves again.\n" in out


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ((("1", "release=a"),) * 3, "no version of the stack dropvec was released before the present one"),
        ((("$LATEST", ""),) * 3, "no version of the stack dropvec was released before the present one"),
        (
            (("2", "release=a previous=1"), ("2", "withdrawn=3"), ("2", "release=a previous=1")),
            "the last release of the stack dropvec was already rolled back",
        ),
    ],
)
def test_nothing_to_roll_back_to_is_an_error_before_any_change(
    calls: Account, rollback: Callable[..., dict[str, object]], states: tuple[tuple[str, str], ...], text: str
) -> None:
    aliases(calls, *states)
    with pytest.raises(CheckError, match=f"^nothing to roll back to: {text}$"):
        rollback()


def test_a_rollback_to_a_version_that_is_wrong_changes_nothing(
    calls: Account, rollback: Callable[..., dict[str, object]]
) -> None:
    aliases(calls, ("1", ""), ("2", "release=a previous=1"), ("1", ""))
    calls.ready("function", "1")
    calls.invoke("function", "1", WRONG)
    with pytest.raises(OperatorError, match=r"version 1 of function is wrong: .*; still in use: version 2 of function"):
        rollback()


def test_a_rollback_asks(
    calls: Account,
    rollback: Callable[..., dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    aliases(calls, ("1", ""), ("2", "release=a previous=1"), ("1", ""))
    assert rollback(yes=False) == {"stack": "dropvec", "rolled_back": False, "versions": {}}
    assert capsys.readouterr().out.endswith("Nothing was changed.\n")


@pytest.mark.parametrize("image", ["", IMAGE["ImageUri"]])
def test_after_a_rollback_the_image_must_be_named(aws: Stubbed, calls: Account, image: str) -> None:
    aliases(calls, ("2", "release=a previous=1"), ("2", "withdrawn=3"), ("2", "release=a previous=1"))
    code: dict[str, Any] = {"Code": {"ImageUri": image} if image else {}}
    aws.answer("lambda_", "get_function", code, FunctionName="function", Qualifier="live")
    with pytest.raises(CheckError) as caught:
        release.check_not_withdrawn(aws.account, Plan("dropvec", STACK, {"MemorySize": "3008"}))
    serving = f" (the one that serves is {image})" if image else ""
    assert str(caught.value) == (
        "version 3 of function was rolled back, and the stack still has its image: "
        f"name the image to deploy with IMAGE_URI=…{serving}"
    )


def test_an_image_that_is_named_is_deployed_after_a_rollback(aws: Stubbed) -> None:
    release.check_not_withdrawn(aws.account, Plan("dropvec", STACK, IMAGE))
    release.check_not_withdrawn(aws.account, Plan("dropvec", None, {}))
