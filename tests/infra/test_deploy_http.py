"""What `deploy` checks, prints and changes for the HTTP API, with AWS's answers."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.common.errors import CheckError
from infra.deploy import browser_uploads
from infra.deploy.account import Account
from infra.deploy.browser_uploads import allow_browsers, remove_rule
from infra.deploy.concurrency import check_concurrency
from infra.deploy.http_api import check_api, print_access
from infra.deploy.plan import Plan

BUCKET = "photos"
OWNERS = {"ID": "owners", "AllowedMethods": ["PUT"], "AllowedOrigins": ["https://photos.example"]}
RULE = {
    "ID": "dropvec-stack",
    "AllowedMethods": ["GET", "POST"],
    "AllowedOrigins": ["*"],
    "AllowedHeaders": ["*"],
    "MaxAgeSeconds": 3600,
}


def account(**clients: Any) -> Account:
    given: dict[str, Any] = dict.fromkeys(each.name for each in fields(Account))
    return Account(**given | {"id": "123456789012", "region": "eu-west-1"} | clients)


class Limits:
    """Lambda's limits of an account."""

    def __init__(self, quota: int, unreserved: int) -> None:
        self.limits = {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": self.limits}


def plan(current: dict[str, str] | None = None, **given: str) -> Plan:
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in (current or {}).items()]
    return Plan("stack", None if current is None else {"Parameters": parameters}, given)


@pytest.mark.parametrize("access", ["iam", "token"])
def test_an_http_api_needs_search(access: str) -> None:
    with pytest.raises(CheckError, match=f"Api={access} needs the search function"):
        check_api(account(), plan(Api=access, Search="false"))
    check_api(account(), plan(Api=access))
    check_api(account(), plan(Api="none", Search="false", ApiConcurrency="50"))


@pytest.mark.parametrize(
    ("wanted", "deployed", "quota", "unreserved", "is_possible"),
    [
        ("0", None, 10, 10, True),
        ("1", None, 10, 10, False),
        ("900", None, 1000, 1000, True),
        ("901", None, 1000, 1000, False),
        ("50", "50", 1000, 100, True),
        ("60", "50", 1000, 110, True),
        ("61", "50", 1000, 110, False),
        ("40", "50", 1000, 100, True),
    ],
)
def test_only_what_the_account_allows_is_reserved(
    wanted: str, deployed: str | None, quota: int, unreserved: int, is_possible: bool
) -> None:
    current = None if deployed is None else {"ApiConcurrency": deployed, "Search": "true"}
    made = plan(current, ApiConcurrency=wanted)
    aws = account(lambda_=Limits(quota, unreserved))
    if is_possible:
        check_concurrency(aws, made)
    else:
        with pytest.raises(CheckError, match=f"ApiConcurrency={wanted} reserves {wanted} of the account's concurrency"):
            check_concurrency(aws, made)


def test_all_reservations_count_together() -> None:
    made = plan(ApiConcurrency="50", Trigger="direct", MaximumConcurrency="60")
    check_concurrency(account(lambda_=Limits(1000, 210)), made)
    with pytest.raises(CheckError, match=r"MaximumConcurrency=60 and ApiConcurrency=50 reserve 110 .* reserve 109 "):
        check_concurrency(account(lambda_=Limits(1000, 209)), made)


def test_how_to_get_the_token_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_access({"ApiUrl": "https://id.lambda-url.eu-west-1.on.aws/", "TokenSecretArn": "arn:secret"}, "eu-west-1")
    printed = capsys.readouterr().out
    assert "aws secretsmanager get-secret-value --region eu-west-1 --secret-id arn:secret" in printed
    assert "https://id.lambda-url.eu-west-1.on.aws/#TOKEN" in printed
    print_access({"ApiUrl": "https://id.lambda-url.eu-west-1.on.aws/"}, "eu-west-1")
    print_access({}, "eu-west-1")
    assert capsys.readouterr().out == ""


@pytest.fixture
def aws() -> Iterator[Account]:
    with mock_aws():
        s3 = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        s3.create_bucket(Bucket=BUCKET)
        yield account(s3=s3)


def rules(aws: Account) -> list[dict[str, Any]]:
    try:
        return [dict(rule) for rule in aws.s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"]]
    except ClientError:
        return []


def wanted(access: str = "token", search: str = "true", bucket: str = BUCKET) -> dict[str, str]:
    return {"ExistingBucket": bucket, "Api": access, "Search": search}


def test_a_rule_is_added_and_removed_beside_those_of_others(aws: Account, capsys: pytest.CaptureFixture[str]) -> None:
    aws.s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [OWNERS]})  # type: ignore[list-item]
    allow_browsers(aws, "stack", wanted(), yes=True)
    assert rules(aws) == [OWNERS, RULE]
    assert "Changed." in capsys.readouterr().out
    allow_browsers(aws, "stack", wanted(), yes=True)
    assert (rules(aws), capsys.readouterr().out) == ([OWNERS, RULE], "")
    allow_browsers(aws, "stack", wanted("iam"), yes=True)
    assert rules(aws) == [OWNERS]
    allow_browsers(aws, "stack", wanted(), yes=True)
    remove_rule(aws, BUCKET, "another")
    assert rules(aws) == [OWNERS, RULE]
    remove_rule(aws, BUCKET, "stack")
    assert rules(aws) == [OWNERS]


def test_the_last_rule_is_deleted(aws: Account) -> None:
    allow_browsers(aws, "stack", wanted(), yes=True)
    assert rules(aws) == [RULE]
    remove_rule(aws, BUCKET, "stack")
    assert rules(aws) == []


@pytest.mark.parametrize("given", [wanted("none"), wanted("iam"), wanted(search="false"), wanted(bucket="")])
def test_nothing_is_asked_without_a_gallery(
    aws: Account, given: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    allow_browsers(aws, "stack", given, yes=False)
    assert (rules(aws), capsys.readouterr().out) == ([], "")


def test_nothing_is_changed_without_a_confirmation(
    aws: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser_uploads, "confirm", lambda *_, **__: False)
    allow_browsers(aws, "stack", wanted(), yes=False)
    assert rules(aws) == []
    assert "Not changed" in capsys.readouterr().out


def test_a_bucket_that_may_not_be_changed(aws: Account, capsys: pytest.CaptureFixture[str]) -> None:
    allow_browsers(aws, "stack", wanted(bucket="none-of-ours"), yes=True)
    assert "The owner of the bucket none-of-ours must add this CORS rule" in capsys.readouterr().out
    remove_rule(aws, "none-of-ours", "stack")
