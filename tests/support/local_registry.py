"""Images on the local AWS, which has no Docker: a manifest in its registry, and the function's code as a zip in S3.

The zip's key is the image's digest, and the template is changed so that a function runs the zip of its image. So
another image is another version of the function, as on AWS.
"""

import hashlib
import json
import urllib.request
from pathlib import Path
from typing import Any

from infra.common.local_session import CONFIG, REGION, session
from infra.common.paths import HANDLER, TEMPLATE
from infra.common.template import Template, ZipCode, load, with_zip_functions
from infra.local.package import ENTRY_POINT, function_zip

CODE_BUCKET = "code-of-images"
REGISTRY = f"000000000000.dkr.ecr.{REGION}.amazonaws.com"
REPOSITORY = "dropvec"
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def push(endpoint: str, bundle: Path, tag: str, *, package: Path = HANDLER, architecture: str = "amd64") -> str:
    """Push an image, and return its URI by tag.

    Args:
        endpoint: of the local AWS.
        bundle: the functions' model bundle.
        tag: of the image; the repository's tags can be moved.
        package: the functions' Python package.
        architecture: the registry's name of an architecture.
    """
    ecr: Any = session().client("ecr", endpoint_url=endpoint, config=CONFIG)
    s3: Any = session().client("s3", endpoint_url=endpoint, config=CONFIG)
    if REPOSITORY not in [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]:
        ecr.create_repository(repositoryName=REPOSITORY)
    s3.create_bucket(Bucket=CODE_BUCKET)
    code = function_zip(package, bundle)
    config = configuration(code, architecture)
    _upload(endpoint, config)
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": _MEDIA_TYPE, "config": {"digest": digest_of(config)}, "layers": []}
    )
    ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageManifestMediaType=_MEDIA_TYPE, imageTag=tag)
    s3.put_object(Bucket=CODE_BUCKET, Key=digest_of(manifest.encode()), Body=code)
    return f"{REGISTRY}/{REPOSITORY}:{tag}"


def configuration(code: bytes, architecture: str = "amd64") -> bytes:
    """The configuration of an image with this code; its hash is the image's id."""
    return json.dumps({"os": "linux", "architecture": architecture, "code": digest_of(code)}).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _upload(endpoint: str, blob: bytes) -> None:
    url = f"{endpoint}/v2/{REPOSITORY}/blobs/uploads/?digest={digest_of(blob)}"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, data=blob) as answer:
        assert answer.status == 201


def local_url(endpoint: str, url: str) -> str:
    """A download URL of the registry, which names a host of AWS, on the local AWS."""
    return f"{endpoint}/{url.partition('://')[2].partition('/')[2]}"


def template_of_images() -> Template:
    """The template with functions that run the zips of their images."""
    original = load(TEMPLATE)
    template, names = with_zip_functions(original, ZipCode(CODE_BUCKET, "", ENTRY_POINT))
    for name in names:
        uri = original["Resources"][name]["Properties"]["ImageUri"]
        code = template["Resources"][name]["Properties"]["CodeUri"]
        code["Key"] = {"Fn::Select": [1, {"Fn::Split": ["@", uri]}]}
    return template


def without_aliases(template: Template) -> Template:
    """The template as it was before its functions had aliases."""
    functions = {"FunctionAlias": "Function", "IndexerAlias": "Indexer", "ApiAlias": "ApiFunction"}
    removed = {*functions, "UploadsMayInvokeAlias", "FailedAliasEvents"}
    text = json.dumps(template).replace(":live", "").replace(', "Qualifier": "live"', "")
    text = text.replace('"UploadsMayInvokeAlias"]', '"UploadsMayInvoke"]').replace('"DependsOn": "ApiAlias", ', "")
    text = text.replace('"Function": {"Ref": "FunctionAlias"}', '"Function": {"Fn::GetAtt": ["Function", "Arn"]}')
    for alias, function in functions.items():
        text = text.replace(f'{{"Ref": "{alias}"}}', f'{{"Ref": "{function}"}}')
    earlier: Template = json.loads(text)
    resources = {name: one for name, one in earlier["Resources"].items() if name not in removed}
    return earlier | {"Resources": resources}
