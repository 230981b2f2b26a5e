"""The clients of S3, DynamoDB and S3 Vectors."""

import os
from typing import NamedTuple

from handler.aws.retries import CONNECT_SECONDS, READ_SECONDS
from handler.aws.sdk.certificates import require_certificates
from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.dynamodb import DynamoDB
from handler.aws.sdk.endpoints import EndpointResolver, read_endpoints
from handler.aws.sdk.proxies import proxy_for
from handler.aws.sdk.s3 import S3
from handler.aws.sdk.s3vectors import S3Vectors
from handler.aws.sdk.signed_client import SignedClient


class Clients(NamedTuple):
    """The clients of both services."""

    s3: S3
    dynamodb: DynamoDB


def make_clients() -> Clients:
    """Create both clients from the environment variables that all AWS SDKs share.

    Raises:
        SettingsError: the region is missing, or a variable is invalid.
    """
    client, endpoints = _signed_client()
    return Clients(S3(client, endpoints), DynamoDB(client, endpoints))


def make_s3vectors(bucket: str) -> S3Vectors:
    """Create a client of one vector bucket; see `make_clients`."""
    client, endpoints = _signed_client()
    return S3Vectors(client, endpoints, bucket)


def _signed_client() -> tuple[SignedClient, EndpointResolver]:
    endpoints = read_endpoints(os.environ)
    require_certificates(os.environ)
    proxy_for(endpoints.dynamodb())  # checks the proxy settings
    return SignedClient(Connections(Timeouts(CONNECT_SECONDS, READ_SECONDS)), CredentialsProvider()), endpoints
