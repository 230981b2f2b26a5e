"""The repository in Amazon ECR that an image is pushed to."""

import base64
import re
from typing import NamedTuple

from botocore.exceptions import ClientError

from infra.common.errors import CheckError
from infra.deploy.account import Account, needs
from infra.deploy.registry import find_image, parse_uri, registry_host

_NAME = re.compile(r"(?=.{2,256}$)[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Of the image's id, enough to distinguish images.
_ID_DIGITS = 12


class Login(NamedTuple):
    """Credentials for a registry, valid for 12 hours."""

    registry: str
    user: str
    password: str


def target_uri(aws: Account, repository: str, tag: str, image_id: str) -> str:
    """Where to push an image.

    Tags of the repository cannot be moved, so an image without a tag of its own gets a part of its id as its tag: the
    same image has the same tag, and another image another one.

    Args:
        aws: the account.
        repository: the repository's name.
        tag: of the image on this machine; `latest` counts as none.
        image_id: the image's id, hex.

    Raises:
        CheckError: the name or the tag is not valid.
    """
    if not _NAME.fullmatch(repository):
        raise CheckError(f"{repository!r} is not a valid name of a repository in ECR, such as dropvec or team/dropvec")
    tag = image_id[:_ID_DIGITS] if tag in {"", "latest"} else tag
    if not _TAG.fullmatch(tag):
        raise CheckError(f"{tag!r} is not a valid tag of an image")
    return f"{registry_host(aws.id, aws.region)}/{repository}:{tag}"


def create_repository(aws: Account, name: str) -> bool:
    """Create a repository whose tags cannot be moved, and whose images are scanned; False if it exists already."""
    try:
        with needs("ecr:DescribeRepositories"):
            aws.ecr.describe_repositories(repositoryNames=[name])
    except aws.ecr.exceptions.RepositoryNotFoundException:
        pass
    else:
        return False
    try:
        with needs("ecr:CreateRepository"):
            aws.ecr.create_repository(
                repositoryName=name,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
            )
    except ClientError as error:  # another program has just created it
        if error.response["Error"]["Code"] != "RepositoryAlreadyExistsException":
            raise
        return False
    return True


def pushed(aws: Account, uri: str, image_id: str) -> str | None:
    """The URI by digest of an image that an earlier run has pushed; None if the tag is free.

    Raises:
        CheckError: the tag is that of another image.
    """
    parts = parse_uri(uri, aws.region)
    with needs("ecr:BatchGetImage"):
        answer = aws.ecr.batch_get_image(
            registryId=parts.account, repositoryName=parts.repository, imageIds=[{"imageTag": parts.tag}]
        )
    if not answer["images"]:
        return None
    found = find_image(aws, uri)
    # An engine that keeps images by manifest, as docker with containerd does, has the manifest's digest as the id.
    if f"sha256:{image_id}" not in {found.config, found.uri.partition("@")[2]}:
        raise CheckError(f"{uri} is another image already, and tags are not moved: give the new image another tag")
    return found.uri


def login(aws: Account) -> Login:
    """Credentials for the account's registry."""
    with needs("ecr:GetAuthorizationToken"):
        (answer,) = aws.ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    return Login(registry_host(aws.id, aws.region), user, password)
