"""S3 Vectors at the endpoint of the local AWS: beside its other services, by CloudFormation, and under its IAM."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError

from infra.common.local_session import CONFIG, REGION, session
from infra.local.server import LocalAws, local_aws

STACK = "search"
WHERE = {"vectorBucketName": "bucket", "indexName": "index"}
BUCKET_ARN = "arn:aws:s3vectors:us-east-1:000000000000:bucket/bucket"
INDEX_ARN = f"{BUCKET_ARN}/index/index"
VECTOR = {"float32": [1.0, 0.0]}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws") / "aws.log") as running:
        yield running


@pytest.fixture(scope="module")
def strict_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws") / "aws.log", enforce_iam=True) as running:
        vectors = client(running, "s3vectors")
        vectors.create_vector_bucket(vectorBucketName="bucket")
        create_index(vectors, "index")
        vectors.put_vectors(**WHERE, vectors=[{"key": "a", "data": VECTOR, "metadata": {"n": 1}}])
        yield running


def client(aws: LocalAws, service: str, credentials: boto3.Session | None = None) -> Any:
    return (credentials or session()).client(service, endpoint_url=aws.endpoint, config=CONFIG)


def create_index(vectors: Any, name: str) -> None:
    vectors.create_index(
        vectorBucketName="bucket", indexName=name, dataType="float32", dimension=2, distanceMetric="cosine"
    )


def test_it_answers_beside_the_other_services(aws: LocalAws) -> None:
    vectors, s3 = client(aws, "s3vectors"), client(aws, "s3")
    vectors.create_vector_bucket(vectorBucketName="shared")
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="GetVectorBucket", Body=b"an object")
    assert s3.get_object(Bucket="shared", Key="GetVectorBucket")["Body"].read() == b"an object"
    assert vectors.get_vector_bucket(vectorBucketName="shared")["vectorBucket"]["vectorBucketName"] == "shared"
    arn = "arn:aws:s3vectors:us-east-1:000000000000:bucket/shared"
    vectors.tag_resource(resourceArn=arn, tags={"a": "b"})
    vectors.untag_resource(resourceArn=arn, tagKeys=["b"])
    assert vectors.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}


def test_each_account_and_region_has_vector_buckets_of_its_own(aws: LocalAws) -> None:
    other = boto3.Session("123456789012", "test", region_name="eu-west-1")
    vectors = client(aws, "s3vectors", other)
    arn = vectors.create_vector_bucket(vectorBucketName="elsewhere")["vectorBucketArn"]
    assert arn == "arn:aws:s3vectors:eu-west-1:123456789012:bucket/elsewhere"
    assert [bucket["vectorBucketArn"] for bucket in vectors.list_vector_buckets()["vectorBuckets"]] == [arn]
    with pytest.raises(client(aws, "s3vectors").exceptions.NotFoundException):
        client(aws, "s3vectors").get_vector_bucket(vectorBucketName="elsewhere")


def test_a_put_of_several_megabytes(aws: LocalAws) -> None:
    vectors = client(aws, "s3vectors")
    vectors.create_vector_bucket(vectorBucketName="large")
    where = {"vectorBucketName": "large", "indexName": "index"}
    vectors.create_index(**where, dataType="float32", dimension=1280, distanceMetric="cosine")
    matrix = np.random.default_rng(0).standard_normal((300, 1280)).astype(np.float32)
    records = [{"key": str(row), "data": {"float32": matrix[row].tolist()}} for row in range(300)]
    vectors.put_vectors(**where, vectors=records)
    answer = vectors.query_vectors(**where, topK=1, queryVector={"float32": matrix[9].tolist()})
    assert answer["vectors"] == [{"key": "9"}]


def test_a_body_over_20_mib_is_refused_and_the_connection_goes_on(aws: LocalAws) -> None:
    vectors = client(aws, "s3vectors")
    with pytest.raises(vectors.exceptions.ValidationException, match="Request body exceeds max allowed size"):
        vectors.delete_vectors(**WHERE, keys=["x" * 1024 * 1024 for _ in range(21)])
    assert "vectorBuckets" in vectors.list_vector_buckets()


def template(dimension: int = 3, **bucket: Any) -> str:
    """A vector bucket and an index in it; the dimension is a parameter, as in a template that several models share."""
    index = {
        "VectorBucketArn": {"Fn::GetAtt": ["Bucket", "VectorBucketArn"]},
        "IndexName": f"photos-{dimension}",
        "DataType": "float32",
        "Dimension": {"Ref": "Dimension"},
        "DistanceMetric": "cosine",
        "MetadataConfiguration": {"NonFilterableMetadataKeys": ["source", "result"]},
    }
    resources = {
        "Bucket": {"Type": "AWS::S3Vectors::VectorBucket", "Properties": bucket},
        "Index": {"Type": "AWS::S3Vectors::Index", "Properties": index},
    }
    outputs = {"Bucket": {"Ref": "Bucket"}, "Index": {"Ref": "Index"}, "Arn": {"Fn::GetAtt": ["Index", "IndexArn"]}}
    return json.dumps(
        {
            "Parameters": {"Dimension": {"Type": "Number", "Default": dimension}},
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
    )


class Stack:
    """A stack on the local AWS."""

    name = STACK  # once it is deleted, only its id finds it

    def __init__(self, aws: LocalAws) -> None:
        self.cloudformation = client(aws, "cloudformation")
        self.vectors = client(aws, "s3vectors")

    def create(self, body: str) -> None:
        self.cloudformation.create_stack(StackName=STACK, TemplateBody=body)
        assert self.settled() == "CREATE_COMPLETE"

    def update(self, body: str) -> str:
        self.cloudformation.update_stack(StackName=STACK, TemplateBody=body)
        return self.settled()

    def settled(self) -> str:
        while self.description()["StackStatus"].endswith("IN_PROGRESS"):
            time.sleep(0.05)
        status: str = self.description()["StackStatus"]
        return status

    def description(self) -> Any:
        return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]

    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self.description()["Outputs"]}

    def reasons(self) -> str:
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def delete(self) -> str:
        self.name = self.description()["StackId"]
        self.cloudformation.delete_stack(StackName=STACK)
        return self.settled()


@pytest.fixture
def stack(aws: LocalAws) -> Stack:
    return Stack(aws)


def test_cloudformation_makes_changes_and_deletes_them(stack: Stack) -> None:
    stack.create(template(Tags=[{"Key": "team", "Value": "photos"}, {"Key": "stage", "Value": "dev"}]))
    outputs = stack.outputs()
    assert outputs["Index"] == outputs["Arn"] == f"{outputs['Bucket']}/index/photos-3"
    assert outputs["Bucket"].rpartition("/")[2].startswith("search-bucket-")  # a name that CloudFormation made up
    described = stack.vectors.get_index(indexArn=outputs["Index"])["index"]
    assert described["dimension"] == 3
    assert described["metadataConfiguration"] == {"nonFilterableMetadataKeys": ["source", "result"]}

    stack.vectors.put_vectors(indexArn=outputs["Index"], vectors=[{"key": "a", "data": {"float32": [1, 0, 0]}}])
    assert stack.update(template(Tags=[{"Key": "stage", "Value": "prod"}])) == "UPDATE_COMPLETE"
    assert stack.outputs() == outputs
    assert stack.vectors.list_tags_for_resource(resourceArn=outputs["Bucket"])["tags"] == {"stage": "prod"}
    assert stack.vectors.list_vectors(indexArn=outputs["Index"])["vectors"] == [{"key": "a"}]

    assert stack.update(template(4, Tags=[{"Key": "stage", "Value": "prod"}])) == "UPDATE_COMPLETE"
    assert stack.outputs()["Index"].endswith("/index/photos-4")
    indexes = stack.vectors.list_indexes(vectorBucketArn=outputs["Bucket"])["indexes"]
    assert [index["indexName"] for index in indexes] == ["photos-4"]

    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(stack.vectors.exceptions.NotFoundException):
        stack.vectors.get_vector_bucket(vectorBucketArn=outputs["Bucket"])


def test_cloudformation_encrypts_and_refuses_as_the_service_does(stack: Stack) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    stack.create(template(VectorBucketName="photos", EncryptionConfiguration={"SseType": "aws:kms", "KmsKeyArn": key}))
    bucket = stack.vectors.get_vector_bucket(vectorBucketName="photos")["vectorBucket"]
    assert bucket["encryptionConfiguration"] == {"sseType": "aws:kms", "kmsKeyArn": key}

    assert stack.update(template(VectorBucketName="photos")).endswith("ROLLBACK_COMPLETE")
    assert "custom-named resource requires replacing" in stack.reasons()

    stack.vectors.create_index(
        vectorBucketName="photos", indexName="other", dataType="float32", dimension=1, distanceMetric="cosine"
    )
    assert stack.delete() == "DELETE_FAILED"
    assert "The specified vector bucket is not empty" in stack.reasons()
    stack.vectors.delete_index(vectorBucketName="photos", indexName="other")
    assert stack.delete() == "DELETE_COMPLETE"


def test_what_is_gone_already_does_not_keep_a_stack_from_being_deleted(stack: Stack) -> None:
    stack.create(template())
    outputs = stack.outputs()
    stack.vectors.delete_index(indexArn=outputs["Index"])
    stack.vectors.delete_vector_bucket(vectorBucketArn=outputs["Bucket"])
    assert stack.delete() == "DELETE_COMPLETE"


class User:
    """An IAM user who may do what the last policy says."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self.name, self.iam = name, client(aws, "iam")
        self.iam.create_user(UserName=name)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        credentials = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
        self.vectors = client(aws, "s3vectors", credentials)

    def allow(self, *statements: tuple[str, str], effect: str = "Allow") -> None:
        listed = [{"Effect": effect, "Action": action, "Resource": resource} for action, resource in statements]
        document = {"Version": "2012-10-17", "Statement": listed}
        self.iam.put_user_policy(UserName=self.name, PolicyName=effect, PolicyDocument=json.dumps(document))


@pytest.fixture(scope="module")
def user(strict_aws: LocalAws) -> User:
    return User(strict_aws, "reader")


def call(name: str, **members: Any) -> Any:
    """A call of a client's method."""
    return name, members


ASK = {"topK": 1, "queryVector": VECTOR}
# A call, and what it needs, as (action, resource).
NEEDS: list[tuple[Any, list[tuple[str, str]]]] = [
    (call("list_vector_buckets"), [("ListVectorBuckets", "*")]),
    (call("get_vector_bucket", vectorBucketName="bucket"), [("GetVectorBucket", BUCKET_ARN)]),
    (call("list_indexes", vectorBucketArn=BUCKET_ARN), [("ListIndexes", BUCKET_ARN)]),
    (call("get_index", **WHERE), [("GetIndex", INDEX_ARN)]),
    (call("put_vectors", **WHERE, vectors=[{"key": "a", "data": VECTOR}]), [("PutVectors", INDEX_ARN)]),
    (call("get_vectors", indexArn=INDEX_ARN, keys=["a"]), [("GetVectors", INDEX_ARN)]),
    (call("delete_vectors", **WHERE, keys=["absent"]), [("DeleteVectors", INDEX_ARN)]),
    (call("list_vectors", **WHERE), [("ListVectors", INDEX_ARN)]),
    (call("list_vectors", **WHERE, returnData=True), [("ListVectors", INDEX_ARN), ("GetVectors", INDEX_ARN)]),
    (call("list_vectors", **WHERE, returnMetadata=True), [("ListVectors", INDEX_ARN), ("GetVectors", INDEX_ARN)]),
    (call("query_vectors", **WHERE, **ASK, returnDistance=True), [("QueryVectors", INDEX_ARN)]),
    (
        call("query_vectors", **WHERE, **ASK, returnMetadata=True),
        [("QueryVectors", INDEX_ARN), ("GetVectors", INDEX_ARN)],
    ),
    (
        call("query_vectors", **WHERE, **ASK, filter={"n": 1}),
        [("QueryVectors", INDEX_ARN), ("GetVectors", INDEX_ARN)],
    ),
    (call("list_tags_for_resource", resourceArn=INDEX_ARN), [("ListTagsForResource", INDEX_ARN)]),
    (call("tag_resource", resourceArn=INDEX_ARN, tags={"a": "b"}), [("TagResource", INDEX_ARN)]),
    (call("untag_resource", resourceArn=INDEX_ARN, tagKeys=["a"]), [("UntagResource", INDEX_ARN)]),
    (call("update_index_mode", **WHERE, indexMode="ENHANCED"), [("UpdateIndexMode", INDEX_ARN)]),
    (
        call("put_vector_bucket_default_index_mode", vectorBucketName="bucket", defaultIndexMode="ENHANCED"),
        [("PutVectorBucketDefaultIndexMode", BUCKET_ARN)],
    ),
    (
        call("create_index", **WHERE, dataType="float32", dimension=2, distanceMetric="cosine", tags={"a": "b"}),
        [("CreateIndex", INDEX_ARN), ("TagResource", INDEX_ARN)],
    ),
    (
        call("create_vector_bucket", vectorBucketName="bucket", tags={"a": "b"}),
        [("CreateVectorBucket", BUCKET_ARN), ("TagResource", BUCKET_ARN)],
    ),
    (call("delete_vector_bucket", vectorBucketName="bucket"), [("DeleteVectorBucket", BUCKET_ARN)]),
    (
        call("delete_index", vectorBucketName="bucket", indexName="absent"),
        [("DeleteIndex", f"{BUCKET_ARN}/index/absent")],
    ),
]


@pytest.mark.parametrize(("asked", "needs"), NEEDS)
def test_a_call_needs_exactly_its_permissions(user: User, asked: Any, needs: list[tuple[str, str]]) -> None:
    name, members = asked
    statements = [(f"s3vectors:{action}", resource) for action, resource in needs]
    for missing in statements:
        user.allow(("s3:*", "*"), *[one for one in statements if one != missing])
        with pytest.raises(user.vectors.exceptions.AccessDeniedException) as raised:
            getattr(user.vectors, name)(**members)
        assert f"not authorized to perform: {missing[0]} on resource: {missing[1]}" in str(raised.value)
    user.allow(*statements)
    try:
        getattr(user.vectors, name)(**members)
    except ClientError as error:  # allowed, and then refused for what it asks
        assert error.response["Error"]["Code"] in {"ConflictException", "NotFoundException"}


def test_a_policy_may_name_all_indexes_of_a_bucket(user: User) -> None:
    user.allow(("s3vectors:Get*", f"{BUCKET_ARN}/index/*"))
    assert user.vectors.get_index(**WHERE)["index"]["indexArn"] == INDEX_ARN
    with pytest.raises(user.vectors.exceptions.AccessDeniedException):
        user.vectors.get_index(vectorBucketName="buckets", indexName="index")


def test_a_deny_is_stronger(user: User) -> None:
    user.allow(("s3vectors:*", "*"))
    user.vectors.get_index(**WHERE)
    user.allow(("s3vectors:GetIndex", INDEX_ARN), effect="Deny")
    with pytest.raises(user.vectors.exceptions.AccessDeniedException, match="with an explicit deny"):
        user.vectors.get_index(**WHERE)
    user.iam.delete_user_policy(UserName=user.name, PolicyName="Deny")


def test_a_role_is_bound_by_its_policies(strict_aws: LocalAws) -> None:
    iam = client(strict_aws, "iam")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="indexer", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    document = {"Statement": [{"Effect": "Allow", "Action": "s3vectors:PutVectors", "Resource": INDEX_ARN}]}
    iam.put_role_policy(RoleName="indexer", PolicyName="put", PolicyDocument=json.dumps(document))
    given = client(strict_aws, "sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    credentials = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
    vectors = client(strict_aws, "s3vectors", credentials)
    vectors.put_vectors(**WHERE, vectors=[{"key": "a", "data": VECTOR}])
    with pytest.raises(vectors.exceptions.AccessDeniedException, match="assumed-role/indexer/test is not authorized"):
        vectors.query_vectors(**WHERE, **ASK)


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        ("AKIAUNKNOWN000000000", "secret", "UnrecognizedClientException"),
        ("own", "wrong", "InvalidSignatureException"),
    ],
)
def test_callers_must_be_known(strict_aws: LocalAws, user: User, key: str, secret: str, code: str) -> None:
    user.allow(("s3vectors:*", "*"))
    own = user.iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"][0]["AccessKeyId"]
    credentials = boto3.Session(own if key == "own" else key, secret, region_name=REGION)
    with pytest.raises(ClientError) as raised:
        client(strict_aws, "s3vectors", credentials).get_index(**WHERE)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_without_enforcement_anything_is_allowed(aws: LocalAws) -> None:
    credentials = boto3.Session("somebody", "anything", region_name=REGION)
    assert "vectorBuckets" in client(aws, "s3vectors", credentials).list_vector_buckets()
