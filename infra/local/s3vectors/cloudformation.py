"""`AWS::S3Vectors::VectorBucket` and `AWS::S3Vectors::Index` for the local AWS's CloudFormation.

Its tables of resource types are private, so what is written into them is tested by creating, updating and deleting a
stack.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ministack.core import responses
from ministack.services.cloudformation import provisioners

from infra.local.s3vectors.buckets import Scope
from infra.local.s3vectors.errors import NotFoundError
from infra.local.s3vectors.fields import Json
from infra.local.s3vectors.limits import NAME_LENGTH
from infra.local.s3vectors.service import Call, S3Vectors

BUCKET_TYPE = "AWS::S3Vectors::VectorBucket"
INDEX_TYPE = "AWS::S3Vectors::Index"

Properties = Mapping[str, Any]
Created = tuple[str, dict[str, str]]  # what Ref returns, and what Fn::GetAtt returns

# A change of one of these properties replaces the resource.
_CREATE_ONLY = {
    BUCKET_TYPE: ("VectorBucketName", "EncryptionConfiguration"),
    INDEX_TYPE: (
        "VectorBucketName",
        "VectorBucketArn",
        "IndexName",
        "DataType",
        "Dimension",
        "DistanceMetric",
        "EncryptionConfiguration",
        "MetadataConfiguration",
    ),
}
_NAMES = {BUCKET_TYPE: "VectorBucketName", INDEX_TYPE: "IndexName"}


def register_resource_types(service: S3Vectors) -> None:
    """Have the local AWS's CloudFormation make vector buckets and indexes.

    Args:
        service: where they are made.
    """
    resources = _Resources(service)
    handlers: dict[str, dict[str, Callable[..., Any]]] = {
        BUCKET_TYPE: {
            "create": resources.create_bucket,
            "delete": resources.delete_bucket,
            "import": resources.import_bucket,
        },
        INDEX_TYPE: {"create": resources.create_index, "delete": resources.delete_index},
    }
    for kind, actions in handlers.items():
        provisioners._RESOURCE_HANDLERS[kind] = {**actions, "update": resources.update}  # noqa: SLF001 - see above
        provisioners._REPLACING_PROPERTIES[kind] = _CREATE_ONLY[kind]  # noqa: SLF001
        provisioners._CUSTOM_NAME_REPLACEMENT[kind] = {"name": _NAMES[kind]}  # noqa: SLF001


class _Resources:
    def __init__(self, service: S3Vectors) -> None:
        self._service = service

    def create_bucket(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = properties.get("VectorBucketName") or _generated_name(stack_name, logical_id)
        members = {"vectorBucketName": name} | _encryption(properties) | _tags(properties)
        arn: str = self._call("CreateVectorBucket", members)["vectorBucketArn"]
        return self.import_bucket({"VectorBucketArn": arn})

    def import_bucket(self, identifier: Mapping[str, str]) -> Created:
        arn = identifier["VectorBucketArn"]
        created = self._call("GetVectorBucket", {"vectorBucketArn": arn})["vectorBucket"]["creationTime"]
        return arn, {"VectorBucketArn": arn, "CreationTime": _date(created)}

    def delete_bucket(self, physical_id: str, _properties: Properties) -> None:
        self._delete("DeleteVectorBucket", {"vectorBucketArn": physical_id})

    def create_index(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        named = {
            "vectorBucketName": properties.get("VectorBucketName"),
            "vectorBucketArn": properties.get("VectorBucketArn"),
            "indexName": properties.get("IndexName") or _generated_name(stack_name, logical_id),
        }
        settings = {
            "dataType": properties.get("DataType"),
            "dimension": int(properties["Dimension"]),  # parameters come as text
            "distanceMetric": properties.get("DistanceMetric"),
        }
        members = named | settings | _metadata_configuration(properties) | _encryption(properties) | _tags(properties)
        arn: str = self._call("CreateIndex", members)["indexArn"]
        created = self._call("GetIndex", {"indexArn": arn})["index"]["creationTime"]
        return arn, {"IndexArn": arn, "CreationTime": _date(created)}

    def delete_index(self, physical_id: str, _properties: Properties) -> None:
        self._delete("DeleteIndex", {"indexArn": physical_id})

    def update(self, physical_id: str, old: Properties, new: Properties, _stack_name: str) -> Created:
        """Update the tags. A change of any other property replaces the resource, so it does not reach this method."""
        before, after = _tags(old).get("tags", {}), _tags(new).get("tags", {})
        self._call("UntagResource", {"resourceArn": physical_id, "tagKeys": sorted(before.keys() - after.keys())})
        self._call("TagResource", {"resourceArn": physical_id, "tags": after})
        is_index = "/index/" in physical_id
        return physical_id, {"IndexArn" if is_index else "VectorBucketArn": physical_id}

    def _delete(self, operation: str, members: Json) -> None:
        with suppress(NotFoundError):  # CloudFormation treats a missing resource as deleted
            self._call(operation, members)

    def _call(self, operation: str, members: Json) -> Json:
        scope = Scope(responses.get_account_id(), responses.get_region())
        return self._service.call(Call(operation, scope, members))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _generated_name(stack_name: str, logical_id: str) -> str:
    """A name that was never used: a retained bucket keeps its name when the stack creates another one."""
    suffix = f"-{secrets.token_hex(4)}"
    room = NAME_LENGTH[1] - len(suffix)
    name: str = provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=room)  # noqa: SLF001
    return name + suffix


def _encryption(properties: Properties) -> Json:
    given = properties.get("EncryptionConfiguration")
    if not given:
        return {}
    return {"encryptionConfiguration": {"sseType": given.get("SseType"), "kmsKeyArn": given.get("KmsKeyArn")}}


def _metadata_configuration(properties: Properties) -> Json:
    given = properties.get("MetadataConfiguration")
    if not given:
        return {}
    return {"metadataConfiguration": {"nonFilterableMetadataKeys": given.get("NonFilterableMetadataKeys")}}


def _tags(properties: Properties) -> Json:
    given = properties.get("Tags")
    return {"tags": {tag["Key"]: tag["Value"] for tag in given}} if given else {}
