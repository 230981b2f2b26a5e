"""boto3 clients for the local AWS. They ignore the user's profiles, endpoints and proxies."""

from functools import cache

import boto3
import botocore.session
from botocore.config import Config

REGION = "us-east-1"
ACCESS_KEY = "test"  # the local AWS accepts any credentials

CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=16,
    proxies={},
    # A direct invocation can take as long as the function's timeout.
    connect_timeout=10,
    read_timeout=300,
)


@cache  # a new session reads botocore's files again
def session() -> boto3.Session:
    """A session with the local AWS's credentials and region, which ignores `~/.aws` and AWS_PROFILE."""
    ignored = {
        "profile": (None, None, None, None),
        "config_file": (None, None, "", None),
        "credentials_file": (None, None, "", None),
    }
    return boto3.Session(
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=ACCESS_KEY,
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=ignored),
    )
