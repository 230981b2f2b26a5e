"""A boto3 session with the same region and profile as the `aws` command."""

import os

import boto3


def user_session(region: str | None = None, profile: str | None = None) -> boto3.Session:
    """Make a session; its region is None if none is configured.

    Args:
        region: None for AWS_REGION, which the aws command reads and boto3 does not, then boto3's default.
        profile: a profile of `~/.aws`; None for the SDK's default.
    """
    return boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None, profile_name=profile)
