"""The stand-in beside AWS's own description of S3 Vectors, which is part of botocore."""

from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel, ServiceModel, Shape

from infra.local.s3vectors import limits
from infra.local.s3vectors.errors import CredentialsError, S3VectorsError
from infra.local.s3vectors.operations import OPERATIONS
from infra.local.s3vectors.resources import MODES
from infra.local.s3vectors.rows import METRICS
from infra.local.s3vectors.service import Request, read_call
from tests.support.s3vectors_server import SCOPE

# dropvec has no use for policies of vector buckets.
UNKNOWN = {"PutVectorBucketPolicy", "GetVectorBucketPolicy", "DeleteVectorBucketPolicy"}

# Not part of the service's own model: what every service answers of its protocol.
OF_THE_PROTOCOL = {"SerializationException", "UnknownOperationException"}

LIMITS = {
    "VectorBucketName": limits.NAME_LENGTH,
    "IndexName": limits.NAME_LENGTH,
    "VectorKey": limits.KEY_LENGTH,
    "Dimension": limits.DIMENSION,
    "PutVectorsInputList": limits.PUT_VECTORS,
    "DeleteVectorsInputList": limits.DELETE_VECTORS,
    "GetVectorsInputList": limits.GET_VECTORS,
    "ListVectorBucketsMaxResults": limits.LIST_BUCKETS,
    "ListVectorBucketsNextToken": limits.NAME_TOKEN_LENGTH,
    "ListIndexesMaxResults": limits.LIST_INDEXES,
    "ListIndexesNextToken": limits.NAME_TOKEN_LENGTH,
    "ListVectorsMaxResults": limits.LIST_VECTORS,
    "ListVectorsNextToken": limits.LIST_TOKEN_LENGTH,
    "ListVectorsSegmentCount": limits.SEGMENT_COUNT,
    "ListVectorsSegmentIndex": limits.SEGMENT_INDEX,
    "NonFilterableMetadataKeys": limits.NON_FILTERABLE_KEYS,
    "MetadataKey": limits.NON_FILTERABLE_KEY_LENGTH,
    "QueryVectorsNextToken": limits.QUERY_TOKEN_LENGTH,
    "KmsKeyArn": limits.KMS_KEY_LENGTH,
    "TagKey": limits.TAG_KEY_LENGTH,
    "TagValue": limits.TAG_VALUE_LENGTH,
}


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("s3vectors")


def operation(model: ServiceModel, name: str) -> OperationModel:
    return model.operation_model(name)


def shape(model: ServiceModel, name: str) -> Shape:
    found: Shape = model.shape_for(name)
    return found


def all_errors(base: type[S3VectorsError] = S3VectorsError) -> list[type[S3VectorsError]]:
    return [one for each in base.__subclasses__() for one in (each, *all_errors(each))]


def test_it_knows_every_operation_but_those_of_policies(model: ServiceModel) -> None:
    assert set(model.operation_names) - set(OPERATIONS) == UNKNOWN
    assert not set(OPERATIONS) - set(model.operation_names)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_takes_the_members_of_the_model(model: ServiceModel, name: str) -> None:
    given: Any = operation(model, name).input_shape
    assert sorted(OPERATIONS[name].members) == sorted(given.members)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_called_where_the_model_says(model: ServiceModel, name: str) -> None:
    http = operation(model, name).http
    path = http["requestUri"].replace("{resourceArn}", "arn")
    assert read_call(Request(SCOPE, http["method"], path, {}, b"{}")).operation == name


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_limit_is_that_of_the_model(model: ServiceModel, name: str) -> None:
    metadata = shape(model, name).metadata
    assert LIMITS[name] == (metadata["min"], metadata["max"])


@pytest.mark.parametrize(("name", "values"), [("DistanceMetric", METRICS), ("IndexMode", MODES)])
def test_choices_are_those_of_the_model(model: ServiceModel, name: str, values: tuple[str, ...]) -> None:
    given: Any = shape(model, name)
    assert sorted(given.enum) == sorted(values)


@pytest.mark.parametrize("error", [one for one in all_errors() if one is not CredentialsError])
def test_an_error_is_one_of_the_model(model: ServiceModel, error: type[S3VectorsError]) -> None:
    if error.code in OF_THE_PROTOCOL:
        assert error.code not in model.shape_names
        return
    assert error.status == shape(model, error.code).metadata.get("error", {}).get("httpStatusCode", 400)
