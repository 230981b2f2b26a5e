"""SQS over HTTP: a request equal to botocore's."""

import json
from itertools import product

import boto3
import pytest
from botocore.config import Config

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import read_endpoints
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.sqs import SQS
from tests.support.loopback_aws import LoopbackAws, Request, Response

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-3"}
ARN = "arn:aws:sqs:eu-west-3:123456789012:uploads"
HANDLE = "AQEB+handle/=="


def compared(request: Request) -> dict[str, object]:
    names = ("content-type", "x-amz-target")
    return {"method": request.method, "target": request.target, **{name: request.headers[name] for name in names}}


def test_the_request_is_the_one_that_botocore_sends(loopback: LoopbackAws) -> None:
    variables = ENVIRONMENT | {"AWS_ENDPOINT_URL": loopback.endpoint}
    connections = Connections(Timeouts(2, 2))
    ours = SQS(SignedClient(connections, CredentialsProvider(variables)), read_endpoints(variables))
    theirs = boto3.Session("id", "secret", region_name="eu-west-3").client(
        "sqs", endpoint_url=loopback.endpoint, config=Config(retries={"total_max_attempts": 1}, proxies={})
    )
    url = f"{loopback.endpoint}/123456789012/uploads"
    with loopback.answering(lambda _: Response(200, body=b"{}")) as requests:
        ours.change_visibility(ARN, HANDLE, 10)
        theirs.change_message_visibility(QueueUrl=url, ReceiptHandle=HANDLE, VisibilityTimeout=10)
    connections.close()
    mine, his = requests
    assert compared(mine) == compared(his)
    assert json.loads(mine.body) == json.loads(his.body)
    assert mine.headers["authorization"].partition("/")[2].split("/")[1:3] == ["eu-west-3", "sqs"]


@pytest.mark.parametrize("dualstack", ["false", "true"])
@pytest.mark.parametrize(
    ("region", "fips"),
    [
        *product(["us-east-1", "eu-west-3", "us-gov-west-1", "eusc-de-east-1"], ["false", "true"]),
        ("cn-north-1", "false"),  # has no FIPS endpoints
    ],
)
def test_the_endpoint_is_the_one_that_botocore_uses(region: str, fips: str, dualstack: str) -> None:
    variables = {"AWS_REGION": region, "AWS_USE_FIPS_ENDPOINT": fips, "AWS_USE_DUALSTACK_ENDPOINT": dualstack}
    config = Config(use_fips_endpoint=fips == "true", use_dualstack_endpoint=dualstack == "true")
    client = boto3.Session("id", "secret", region_name=region).client("sqs", config=config)
    assert f"https://{read_endpoints(variables).sqs().authority}" == client.meta.endpoint_url
