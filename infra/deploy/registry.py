"""Container images in Amazon ECR: their URIs, and what the registry knows about them."""

import hashlib
import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handler.aws.sdk.endpoints import dns_suffix
from infra.common.errors import CheckError, first_line
from infra.deploy.account import Account, needs

_URI = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.-]+))"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
# Of images and of indexes, which are asked for only to name them in an error.
MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# The registry's names of architectures -> Lambda's.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
_SECONDS = 30.0


@dataclass(frozen=True)
class ImageUri:
    """The parts of an image's URI.

    Attributes:
        registry: the host name.
        account: the twelve digits of the account that owns it.
        repository: the repository's name.
        tag: empty without one.
        digest: `sha256:…`; empty without one.
    """

    registry: str
    account: str
    repository: str
    tag: str
    digest: str


@dataclass(frozen=True)
class Image:
    """An image in ECR.

    Attributes:
        uri: its URI by digest.
        config: the digest of its configuration, by which docker and podman identify an image.
        architecture: Lambda's name of the architecture that it was built for.
    """

    uri: str
    config: str
    architecture: str


def registry_host(account: str, region: str) -> str:
    """The host name of an account's registry in a region of any partition."""
    return f"{account}.dkr.ecr.{region}.{dns_suffix(region)}"


def parse_uri(uri: str, region: str) -> ImageUri:
    """Read the URI of an image in ECR, with a tag or a digest.

    Raises:
        CheckError: it is not an image in ECR in this region; Lambda accepts no other images.
    """
    found = _URI.fullmatch(uri)
    if not found or (found["region"], found["suffix"]) != (region, dns_suffix(region)):
        raise CheckError(f"{uri!r} is not an image in ECR in {region}: Lambda accepts no other images")
    if not (found["tag"] or found["digest"]):
        raise CheckError(f"{uri!r} has neither a tag nor a digest: add one, such as {uri}:1")
    return ImageUri(found["registry"], found["account"], found["repository"], found["tag"] or "", found["digest"] or "")


def find_image(aws: Account, uri: str) -> Image:
    """Ask ECR for an image.

    A tag is resolved to its digest, as Lambda would do: the same tag later names another image without any change of
    the stack's parameters.

    Raises:
        CheckError: there is no such image, Lambda cannot run it, or a permission is missing.
    """
    parts = parse_uri(uri, aws.region)
    digest, manifest = _manifest(aws, parts, uri)
    if "config" not in manifest:
        raise CheckError(
            f"{uri} is an index of several images, which Lambda does not accept: push a single image, built with "
            "`docker buildx build --provenance=false`"
        )
    config = _config(aws, parts, manifest["config"]["digest"])
    architecture = str(config.get("architecture"))
    if config.get("os") not in {None, "linux"} or architecture not in _ARCHITECTURES:
        raise CheckError(
            f"{uri} is built for {config.get('os')}/{architecture}; Lambda runs linux/amd64 and linux/arm64"
        )
    uri_by_digest = f"{parts.registry}/{parts.repository}@{digest}"
    return Image(uri_by_digest, manifest["config"]["digest"], _ARCHITECTURES[architecture])


def _manifest(aws: Account, parts: ImageUri, uri: str) -> tuple[str, Mapping[str, Any]]:
    """An image's digest and manifest."""
    wanted = {"imageDigest": parts.digest} if parts.digest else {"imageTag": parts.tag}
    try:
        with needs("ecr:BatchGetImage"):
            answer = aws.ecr.batch_get_image(
                registryId=parts.account,
                repositoryName=parts.repository,
                imageIds=[wanted],
                acceptedMediaTypes=list(MEDIA_TYPES),
            )
    except aws.ecr.exceptions.RepositoryNotFoundException:
        raise CheckError(f"there is no repository {parts.repository} in {parts.registry}: create it (`push`)") from None
    if not answer["images"]:
        raise CheckError(f"there is no image {uri}: push it first (`push`)")
    (found,) = answer["images"]
    return found["imageId"]["imageDigest"], json.loads(found["imageManifest"])


def _config(aws: Account, parts: ImageUri, digest: str) -> Mapping[str, Any]:
    """An image's configuration, which is stored like a layer."""
    with needs("ecr:GetDownloadUrlForLayer"):
        answer = aws.ecr.get_download_url_for_layer(
            registryId=parts.account, repositoryName=parts.repository, layerDigest=digest
        )
    try:
        data = download(answer["downloadUrl"])
    except OSError as error:
        raise CheckError(f"the image's architecture could not be read from ECR: {first_line(error)}") from None
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise CheckError(f"the configuration of the image in {parts.repository} does not match its hash {digest}")
    config: Mapping[str, Any] = json.loads(data)
    return config


def download(url: str) -> bytes:
    """Read a presigned URL.

    Raises:
        OSError: it cannot be read.
    """
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - from ECR, over TLS
        data: bytes = answer.read()
    return data
