"""What must be true of the template, whatever its parameters: each rule lists its faults in words."""

from collections.abc import Callable, Iterator
from graphlib import CycleError
from typing import Any

from tests.infra.resolved import Resolved, references

Rule = Callable[[Resolved], Iterator[str]]

# Statements that may name more than one thing, because the service knows no narrower name.
WIDE: dict[str, Any] = {"Trace": "*"}

_BUCKET, _QUEUE, _TABLE = "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table"
_RULE = "AWS::Events::Rule"
_OVER_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
_LONGEST_RETENTION = 1_209_600


def statements(made: Resolved) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy statement, with the name of the resource that it is part of."""
    for name, one in made.of_type("AWS::IAM::Role").items():
        for policy in one["Policies"]:
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])
    for name, one in made.of_type("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy").items():
        yield from ((name, each) for each in one["PolicyDocument"]["Statement"])


def role(made: Resolved) -> dict[str, dict[str, Any]]:
    """The function's statements by their Sid."""
    return {each["Sid"]: each for name, each in statements(made) if name == "FunctionRole"}


def many(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def everything_that_is_named_is_there(made: Resolved) -> Iterator[str]:
    yield from made.dangling()
    try:
        made.order()
    except CycleError as error:
        yield f"a circle: {error.args[1]}"


def results_go_elsewhere_than_uploads_come_from(made: Resolved) -> Iterator[str]:
    results = made.resources["ResultsBucket"]["Properties"]
    if "NotificationConfiguration" in results:
        yield "the results bucket tells somebody of results"
    if results["BucketName"] == made.outputs["UploadsBucket"]["Value"]:
        yield "one bucket for uploads and results"
    (function,) = made.of_type("AWS::Serverless::Function").values()
    if function["Environment"]["Variables"]["RESULTS_BUCKET"] != {"Ref": "ResultsBucket"}:
        yield "the function writes to another bucket"
    for sid, one in role(made).items():
        writes = {action for action in many(one["Action"]) if action in {"s3:PutObject", "s3:DeleteObject"}}
        if writes and references(one["Resource"]) != {"ResultsBucket"}:
            yield f"{sid} writes elsewhere"


def no_action_is_a_wildcard(made: Resolved) -> Iterator[str]:
    for name, one in statements(made):
        for action in many(one["Action"]):
            if one["Effect"] == "Allow" and not action.replace(":", "").isalnum():
                yield f"{name}: {action}"
        if "NotAction" in one or "NotResource" in one:
            yield f"{name} allows all but something"


def no_resource_is_a_wildcard(made: Resolved) -> Iterator[str]:
    for name, one in statements(made):
        for resource in many(one["Resource"]):
            if one["Effect"] == "Allow" and not _is_one_thing(resource) and WIDE.get(one["Sid"]) != resource:
                yield f"{name}, {one['Sid']}: {resource}"


def _is_one_thing(resource: Any) -> bool:
    """A resource of the stack, an ARN, or the objects of one bucket."""
    text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
    if isinstance(resource, dict) and "Fn::GetAtt" in resource:
        return True
    bucket, slash, _ = text.partition("/")
    is_bucket = bucket == "${ResultsBucket.Arn}" or (bucket.startswith("arn:aws:s3:::") and "*" not in bucket)
    return is_bucket if slash and is_bucket else text.startswith("arn:aws:") and "*" not in text


def who_may_send_is_one_sender(made: Resolved) -> Iterator[str]:
    for name, one in statements(made):
        if one["Effect"] == "Allow" and "Principal" in one:
            if list(one["Principal"]) != ["Service"] or one["Action"] != "sqs:SendMessage":
                yield f"{name} lets {one['Principal']} do {one['Action']}"
            if not one.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn"):
                yield f"{name} lets all of {one['Principal']} send"
    for name, one in made.of_type("AWS::Lambda::Permission").items():
        if not {"SourceArn", "SourceAccount"} <= one.keys():
            yield f"{name} lets everybody's buckets invoke"


def all_is_encrypted(made: Resolved) -> Iterator[str]:
    key = made.parameters["KmsKeyArn"]
    for name, one in made.of_type(_BUCKET).items():
        (rule,) = one["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        by = rule["ServerSideEncryptionByDefault"]
        if by != ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}):
            yield f"{name}: {by}"
    for name, one in made.of_type(_QUEUE).items():
        if (one.get("KmsMasterKeyId"), one.get("SqsManagedSseEnabled")) != ((key, None) if key else (None, True)):
            yield f"{name} is not encrypted"
    for name, one in made.of_type(_TABLE).items():
        if one.get("SSESpecification", {}).get("KMSMasterKeyId", "") != key:
            yield f"{name} is not encrypted with the key"
    for name, one in made.of_type("AWS::Logs::LogGroup").items():
        if one.get("KmsKeyId", "") != key:
            yield f"{name} is not encrypted with the key"


def keys_are_used_where_there_are_any(made: Resolved) -> Iterator[str]:
    given = {made.parameters[name] for name in ("KmsKeyArn", "ExistingBucketKmsKeyArn")} - {""}
    used = {sid: one for sid, one in role(made).items() if "kms:" in str(one["Action"])}
    if {one["Resource"] for one in used.values()} != given:
        yield f"keys {given}, but {used}"
    for sid, one in used.items():
        if not one.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService"):
            yield f"{sid} uses a key by itself, not through a service"


def nothing_comes_without_tls(made: Resolved) -> Iterator[str]:
    guarded = {
        target
        for name, one in statements(made)
        if (one["Effect"], one.get("Principal"), one.get("Condition")) == ("Deny", "*", _OVER_HTTP)
        and one["Action"] in {"s3:*", "sqs:*"}
        for target in references(one["Resource"]) & _governed(made, name)
    }
    yield from made.of_type(_BUCKET, _QUEUE).keys() - guarded
    for name, one in statements(made):
        if one["Effect"] == "Deny" and one["Action"] == "s3:*" and len(one["Resource"]) != 2:
            yield f"{name}: a bucket, and its objects"


def _governed(made: Resolved, policy: str) -> set[str]:
    one = made.resources[policy]["Properties"]
    return references(one.get("Queues", one.get("Bucket", [])))


def nothing_is_public(made: Resolved) -> Iterator[str]:
    for name, one in made.of_type(_BUCKET).items():
        block = one.get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or set(block.values()) != {True}:
            yield f"{name}: {block}"
        if one["OwnershipControls"] != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} has ACLs"


def what_people_would_miss_is_kept(made: Resolved) -> Iterator[str]:
    for name, one in made.resources.items():
        kept = one.get("DeletionPolicy"), one.get("UpdateReplacePolicy")
        if kept != (("RetainExceptOnCreate", "Retain") if one["Type"] in {_BUCKET, _TABLE} else (None, None)):
            yield f"{name}: {kept}"
    for name, one in made.of_type(_TABLE).items():
        if one["PointInTimeRecoverySpecification"] != {"PointInTimeRecoveryEnabled": True}:
            yield f"{name} cannot be brought back"
        if one["TimeToLiveSpecification"] != {"AttributeName": "expires_at", "Enabled": True}:
            yield f"{name} keeps tombstones for good"
    for name, one in made.of_type("AWS::Logs::LogGroup").items():
        if str(one.get("RetentionInDays")) != made.parameters["LogRetentionDays"]:
            yield f"{name} is kept for good"
    for name, one in made.of_type(_BUCKET).items():
        if (name == "UploadsBucket") != (one.get("VersioningConfiguration") == {"Status": "Enabled"}):
            yield f"{name}: only originals have versions"


def times_fit_each_other(made: Resolved) -> Iterator[str]:
    timeout = int(made.parameters["Timeout"])
    queue, dead = (made.resources[name]["Properties"] for name in ("UploadsQueue", "DeadLetterQueue"))
    visibility, receives = queue["VisibilityTimeout"], queue["RedrivePolicy"]["maxReceiveCount"]
    if visibility < 6 * timeout:
        yield f"messages are invisible for {visibility} s, but a batch may take {timeout} s, six times"
    if not receives * visibility < queue["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"]:
        yield "messages are forgotten before they are dead letters, or soon after"
    if dead["MessageRetentionPeriod"] != _LONGEST_RETENTION:
        yield "dead letters could be kept longer"
    alarms = made.of_type("AWS::CloudWatch::Alarm")
    if not receives * visibility < alarms["WaitingAlarm"]["Threshold"] < queue["MessageRetentionPeriod"]:
        yield "the alarm of old messages is for what is tried again, or comes too late"
    if alarms["DurationAlarm"]["Threshold"] != 800 * timeout:
        yield "the alarm of slow invocations is not at four fifths of the timeout"


def failures_are_set_aside(made: Resolved) -> Iterator[str]:
    dead = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    if made.resources["UploadsQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"] != dead:
        yield "messages that fail are lost"
    asynchronous = made.of_type("AWS::Lambda::EventInvokeConfig").values()
    kept = [one["DestinationConfig"]["OnFailure"]["Destination"] for one in asynchronous]
    allowed = [one["Resource"] for one in role(made).values() if one["Action"] == "sqs:SendMessage"]
    if (kept, allowed) != ([dead], [dead]):
        yield f"failed events go to {kept}, and may go to {allowed}"
    for name, one in made.of_type(_RULE).items():
        if [target["DeadLetterConfig"]["Arn"] for target in one["Targets"]] != [dead]:
            yield f"what {name} cannot deliver is lost"


def events_come_one_way(made: Resolved) -> Iterator[str]:
    trigger, existing = made.parameters["Trigger"], made.parameters["ExistingBucket"]
    uploads = existing or "dropvec-uploads-123456789012-eu-west-1"
    told = {}
    if not existing:
        told = made.resources["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    way = {"queue": "QueueConfigurations", "direct": "LambdaConfigurations", "eventbridge": "EventBridgeConfiguration"}
    if list(told) != ([] if existing else [way[trigger]]) or ("EventTarget" in made.outputs) != bool(existing):
        yield f"{trigger}: the bucket tells {told}"
    rules = {one["Name"]: one["EventPattern"]["detail"]["bucket"] for one in made.of_type(_RULE).values()}
    if rules != ({"dropvec-uploads": {"name": [uploads]}} if trigger == "eventbridge" else {}):
        yield f"{trigger}: the rule is for {rules}"


def all_ways_stay_open(made: Resolved) -> Iterator[str]:
    """Whatever the trigger: it may change, and what is uploaded while it does is not to be lost."""
    uploads = f"arn:aws:s3:::{made.outputs['UploadsBucket']['Value']}"
    senders = [
        each["Condition"]["ArnEquals"]["aws:SourceArn"] for _, each in statements(made) if "MaySend" in each["Sid"]
    ]
    rule = "arn:aws:events:eu-west-1:123456789012:rule/dropvec-uploads"
    if senders != [uploads, rule, rule]:
        yield f"may send: {senders}"
    if [one["SourceArn"] for one in made.of_type("AWS::Lambda::Permission").values()] != [uploads]:
        yield "the bucket may not invoke the function"
    if "UploadsBucket" in made.resources:
        first = {"UploadsQueuePolicy", "UploadsMayInvoke", *made.of_type(_RULE)}
        yield from (
            f"the bucket tells before there is {name}" for name in first - references(made.resources["UploadsBucket"])
        )


def filters_are_the_same_everywhere(made: Resolved) -> Iterator[str]:
    prefix, suffix = made.parameters["KeyPrefix"], made.parameters["KeySuffix"]
    if not role(made)["ReadUploads"]["Resource"].endswith(f"/{prefix}*{suffix}"):
        yield "the role may read other keys"
    for one in made.of_type(_RULE).values():
        if one["EventPattern"]["detail"]["object"]["key"] != [{"wildcard": f"{prefix}*{suffix}"}]:
            yield "the rule is for other keys"
    rules = [{"Name": "prefix", "Value": prefix}, {"Name": "suffix", "Value": suffix}]
    wanted = {"S3Key": {"Rules": rules}} if prefix or suffix else None
    for one in made.of_type(_BUCKET).values():
        told = one.get("NotificationConfiguration", {})
        for each in [*told.get("QueueConfigurations", []), *told.get("LambdaConfigurations", [])]:
            if each.get("Filter") != wanted:
                yield f"the bucket tells of other keys: {each}"


def alarms_reach_people(made: Resolved) -> Iterator[str]:
    topic = made.parameters["AlarmTopicArn"]
    alarms = made.of_type("AWS::CloudWatch::Alarm")
    if {one["MetricName"] for one in alarms.values()} != {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
        "Errors",
        "Throttles",
        "Duration",
    }:
        yield f"alarms: {list(alarms)}"
    for name, one in alarms.items():
        if (one.get("AlarmActions"), one.get("OKActions")) != (([topic],) * 2 if topic else (None, None)):
            yield f"{name} tells {one.get('AlarmActions')}"
        if one["TreatMissingData"] != "notBreaching":
            yield f"{name} rings when nothing happens"


def the_function_is_bounded_and_traced(made: Resolved) -> Iterator[str]:
    (function,) = made.of_type("AWS::Serverless::Function").values()
    is_direct = made.parameters["Trigger"] == "direct"
    reserved = function.get("ReservedConcurrentExecutions")
    if reserved != (made.parameters["MaximumConcurrency"] if is_direct else None):
        yield f"{reserved} invocations are reserved"
    bound = "BackfillConcurrency" if is_direct else "MaximumConcurrency"
    taken = function["Events"]["Uploads"]["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    if taken != made.parameters[bound]:
        yield f"the queue's mapping is bounded by {taken}"
    if bound not in made.resources["WaitingAlarm"]["Properties"]["AlarmDescription"]:
        yield f"the alarm of old messages does not name {bound}"
    if function["Tracing"] != "Active":
        yield "it is not traced"
    if role(made)["Trace"]["Action"] != ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]:
        yield "the role may not trace, or more than that"


RULES: tuple[Rule, ...] = (
    everything_that_is_named_is_there,
    results_go_elsewhere_than_uploads_come_from,
    no_action_is_a_wildcard,
    no_resource_is_a_wildcard,
    who_may_send_is_one_sender,
    all_is_encrypted,
    keys_are_used_where_there_are_any,
    nothing_comes_without_tls,
    nothing_is_public,
    what_people_would_miss_is_kept,
    times_fit_each_other,
    failures_are_set_aside,
    events_come_one_way,
    all_ways_stay_open,
    filters_are_the_same_everywhere,
    alarms_reach_people,
    the_function_is_bounded_and_traced,
)
