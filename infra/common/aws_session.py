"""A boto3 session as the `aws` command would have it."""

import os

import boto3


def user_session(region: str | None = None, profile: str | None = None) -> boto3.Session:
    """A session; its region is None where none is set anywhere.

    Args:
        region: None takes AWS_REGION, which the aws command heeds and boto3 does not, then what boto3 finds.
        profile: of `~/.aws`; None takes the SDK's own.
    """
    return boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None, profile_name=profile)
