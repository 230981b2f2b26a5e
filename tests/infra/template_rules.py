"""Rules for the template with any parameters. Each rule yields a message for each violation."""

from collections.abc import Callable, Iterator
from graphlib import CycleError
from typing import Any

from tests.infra.resolved import Resolved, references

Rule = Callable[[Resolved], Iterator[str]]

# Statements that may use a wildcard, because the service supports no narrower resource.
WIDE: dict[str, Any] = {"Trace": "*"}

_BUCKET, _QUEUE, _TABLE = "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table"
_VECTOR_BUCKET, _FUNCTION = "AWS::S3Vectors::VectorBucket", "AWS::Serverless::Function"
_RULE = "AWS::Events::Rule"
_ALIAS = {"Ref": "FunctionAlias"}
# What has data, and the policies that protect it.
_RETAINED = {_BUCKET, "AWS::S3::BucketPolicy", _TABLE, _VECTOR_BUCKET}
_OVER_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
_LONGEST_RETENTION = 1_209_600
_INDEXES = "${VectorBucket.VectorBucketArn}/index/dropvec-*"


def statements(stack: Resolved) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy statement, with the name of its resource in the template."""
    for name, one in stack.of_type("AWS::IAM::Role").items():
        for policy in one["Policies"]:
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])
    for name, one in stack.of_type("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy").items():
        yield from ((name, each) for each in one["PolicyDocument"]["Statement"])


def role(stack: Resolved, of: str = "FunctionRole") -> dict[str, dict[str, Any]]:
    """The statements of a function's role by Sid."""
    return {each["Sid"]: each for name, each in statements(stack) if name == of}


def actions(stack: Resolved, of: str) -> set[str]:
    """All actions of a function's role."""
    return {action for each in role(stack, of).values() for action in many(each["Action"])}


def has_search(stack: Resolved) -> bool:
    return stack.parameters["Search"] == "true"


def has_url(stack: Resolved) -> bool:
    return has_search(stack) and stack.parameters["Api"] != "none"


def has_token(stack: Resolved) -> bool:
    return has_search(stack) and stack.parameters["Api"] == "token"


def many(value: Any) -> list[Any]:
    """The value as a list; IAM allows a single value instead of a list."""
    return value if isinstance(value, list) else [value]


def references_resolve(stack: Resolved) -> Iterator[str]:
    yield from stack.dangling()
    try:
        stack.order()
    except CycleError as error:
        yield f"circular dependency: {error.args[1]}"


def uploads_and_results_are_separate(stack: Resolved) -> Iterator[str]:
    results = stack.resources["ResultsBucket"]["Properties"]
    if "NotificationConfiguration" in results:
        yield "the results bucket has event notifications"
    if results["BucketName"] == stack.outputs["UploadsBucket"]["Value"]:
        yield "uploads and results use the same bucket"
    function = stack.of_type(_FUNCTION)["Function"]
    if function["Environment"]["Variables"]["RESULTS_BUCKET"] != {"Ref": "ResultsBucket"}:
        yield "the function writes to another bucket"
    uploads, prefix, suffix = (
        stack.outputs["UploadsBucket"]["Value"],
        stack.parameters["KeyPrefix"],
        stack.parameters["KeySuffix"],
    )
    of_the_api = [f"arn:aws:s3:::{uploads}/{prefix}{folder}/*{suffix}" for folder in ("jobs", "uploads")]
    for name, one in statements(stack):
        writes = {action for action in many(one["Action"]) if action in {"s3:PutObject", "s3:DeleteObject"}}
        by_api = (name, writes, one["Resource"]) == ("ApiRole", {"s3:PutObject"}, of_the_api) and has_url(stack)
        if writes and references(one["Resource"]) != {"ResultsBucket"} and not by_api:
            yield f"{name}, {one['Sid']} allows writes outside the results bucket"


def actions_have_no_wildcards(stack: Resolved) -> Iterator[str]:
    for name, one in statements(stack):
        for action in many(one["Action"]):
            if one["Effect"] == "Allow" and not action.replace(":", "").isalnum():
                yield f"{name}: {action}"
        if "NotAction" in one or "NotResource" in one:
            yield f"{name} uses NotAction or NotResource"


def resources_have_no_wildcards(stack: Resolved) -> Iterator[str]:
    for name, one in statements(stack):
        for resource in many(one["Resource"]):
            if one["Effect"] == "Allow" and not _is_specific(resource) and WIDE.get(one["Sid"]) != resource:
                yield f"{name}, {one['Sid']}: {resource}"


def _is_specific(resource: Any) -> bool:
    """Whether it is a resource of the stack, an ARN, the objects of one bucket, or dropvec's indexes in one bucket."""
    text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
    if isinstance(resource, dict) and "Fn::GetAtt" in resource:
        return True
    if isinstance(resource, dict) and "Fn::Split" in resource:
        return all(map(_is_specific, resource["Fn::Split"][1].split(resource["Fn::Split"][0])))
    if text == _INDEXES:
        return True
    bucket, slash, _ = text.partition("/")
    is_bucket = bucket == "${ResultsBucket.Arn}" or (bucket.startswith("arn:aws:s3:::") and "*" not in bucket)
    return is_bucket if slash and is_bucket else text.startswith("arn:aws:") and "*" not in text


def permissions_name_one_sender(stack: Resolved) -> Iterator[str]:
    for name, one in statements(stack):
        if one["Effect"] == "Allow" and "Principal" in one:
            if list(one["Principal"]) != ["Service"] or one["Action"] != "sqs:SendMessage":
                yield f"{name} allows {one['Action']} to {one['Principal']}"
            if not one.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn"):
                yield f"{name} allows {one['Principal']} to send from any source"
    for name, one in stack.of_type("AWS::Lambda::Permission").items():
        if one["Principal"] == "*" and has_token(stack):
            continue  # see `the_url_is_public_only_with_a_token`
        if not {"SourceArn", "SourceAccount"} <= one.keys():
            yield f"{name} allows buckets of any account to invoke"


def everything_is_encrypted(stack: Resolved) -> Iterator[str]:
    key = stack.parameters["KmsKeyArn"]
    for name, one in stack.of_type(_BUCKET).items():
        (rule,) = one["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        by = rule["ServerSideEncryptionByDefault"]
        if by != ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}):
            yield f"{name}: {by}"
    for name, one in stack.of_type(_QUEUE).items():
        if (one.get("KmsMasterKeyId"), one.get("SqsManagedSseEnabled")) != ((key, None) if key else (None, True)):
            yield f"{name} is not encrypted"
    for name, one in stack.of_type(_TABLE).items():
        if one.get("SSESpecification", {}).get("KMSMasterKeyId", "") != key:
            yield f"{name} is not encrypted with the key"
    for name, one in stack.of_type("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret").items():
        if one.get("KmsKeyId", "") != key:
            yield f"{name} is not encrypted with the key"


def the_index_is_encrypted(stack: Resolved) -> Iterator[str]:
    key = stack.parameters["KmsKeyArn"]
    wanted = {"SseType": "aws:kms", "KmsKeyArn": key} if key else {"SseType": "AES256"}
    for name, one in stack.of_type(_VECTOR_BUCKET).items():
        if one["EncryptionConfiguration"] != wanted:
            yield f"{name}: {one['EncryptionConfiguration']}"


def the_roles_may_use_the_given_keys_only(stack: Resolved) -> Iterator[str]:
    for name in stack.of_type("AWS::IAM::Role"):
        reads_uploads = name == "FunctionRole" or (name == "ApiRole" and has_url(stack))
        keys = ("KmsKeyArn", "ExistingBucketKmsKeyArn") if reads_uploads else ("KmsKeyArn",)
        given = {stack.parameters[key] for key in keys} - {""}
        used = {
            sid: one
            for sid, one in role(stack, name).items()
            if "kms:" in str(one["Action"]) and sid != "UseEarlierKeys"
        }
        if {one["Resource"] for one in used.values()} != given:
            yield f"{name} should use the keys {given}, but has {used}"
        for sid, one in used.items():
            if not one.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService"):
                yield f"{name}, {sid} allows use of a key other than through a service"


def earlier_keys_only_decrypt(stack: Resolved) -> Iterator[str]:
    services = {"FunctionRole": {"s3", "sqs", "dynamodb"}, "IndexerRole": {"dynamodb"}, "ApiRole": {"s3", "dynamodb"}}
    keys = stack.parameters["EarlierKmsKeyArns"]
    for name in stack.of_type("AWS::IAM::Role"):
        found = role(stack, name).get("UseEarlierKeys")
        if not keys or found is None:
            if keys or found:
                yield f"with the earlier keys {keys!r}, {name} has {found}"
            continue
        via = {one.partition(".")[0] for one in found["Condition"]["StringEquals"]["kms:ViaService"]}
        if via != services[name]:
            yield f"{name} uses earlier keys through {via}"
        if (found["Action"], found["Resource"]) != ("kms:Decrypt", {"Fn::Split": [",", keys]}):
            yield f"{name} may {found}"


def tls_is_required(stack: Resolved) -> Iterator[str]:
    guarded = {
        target
        for name, one in statements(stack)
        if (one["Effect"], one.get("Principal"), one.get("Condition")) == ("Deny", "*", _OVER_HTTP)
        and one["Action"] in {"s3:*", "sqs:*"}
        for target in references(one["Resource"]) & _governed(stack, name)
    }
    yield from stack.of_type(_BUCKET, _QUEUE).keys() - guarded
    for name, one in statements(stack):
        if one["Effect"] == "Deny" and one["Action"] == "s3:*" and len(one["Resource"]) != 2:
            yield f"{name} does not cover both the bucket and its objects"


def _governed(stack: Resolved, policy: str) -> set[str]:
    one = stack.resources[policy]["Properties"]
    return references(one.get("Queues", one.get("Bucket", [])))


def buckets_are_private(stack: Resolved) -> Iterator[str]:
    for name, one in stack.of_type(_BUCKET).items():
        block = one.get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or set(block.values()) != {True}:
            yield f"{name}: {block}"
        if one["OwnershipControls"] != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} has ACLs"


def data_is_retained(stack: Resolved) -> Iterator[str]:
    for name, one in stack.resources.items():
        kept = one.get("DeletionPolicy"), one.get("UpdateReplacePolicy")
        if kept != (("RetainExceptOnCreate", "Retain") if one["Type"] in _RETAINED else (None, None)):
            yield f"{name}: {kept}"
    for name, one in stack.of_type(_TABLE).items():
        if one["PointInTimeRecoverySpecification"] != {"PointInTimeRecoveryEnabled": True}:
            yield f"{name} has no point-in-time recovery"
        if one["TimeToLiveSpecification"] != {"AttributeName": "expires_at", "Enabled": True}:
            yield f"{name} never deletes tombstones"
    for name, one in stack.of_type("AWS::Logs::LogGroup").items():
        if str(one.get("RetentionInDays")) != stack.parameters["LogRetentionDays"]:
            yield f"{name} does not expire after LogRetentionDays"
    for name, one in stack.of_type(_BUCKET).items():
        if (name == "UploadsBucket") != (one.get("VersioningConfiguration") == {"Status": "Enabled"}):
            yield f"{name}: the uploads bucket must be versioned, others not"


def times_are_consistent(stack: Resolved) -> Iterator[str]:
    timeout = int(stack.parameters["Timeout"])
    queue, dead = (stack.resources[name]["Properties"] for name in ("UploadsQueue", "DeadLetterQueue"))
    visibility, receives = queue["VisibilityTimeout"], queue["RedrivePolicy"]["maxReceiveCount"]
    if visibility < 6 * timeout:
        yield f"the visibility timeout of {visibility} s is less than six times the function's timeout of {timeout} s"
    if not receives * visibility < queue["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"]:
        yield "messages expire before they become dead letters, or soon after"
    if dead["MessageRetentionPeriod"] != _LONGEST_RETENTION:
        yield "dead letters are not kept for the maximum time"
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    if not 10 * visibility <= alarms["WaitingAlarm"]["Threshold"] < queue["MessageRetentionPeriod"]:
        yield "the alarm for old messages fires soon after an image that takes long, or after messages expire"
    for name in ("FailedAlarm", "FailedBatchesAlarm"):
        if alarms[name]["Period"] * alarms[name]["EvaluationPeriods"] > 180:
            yield f"{name} fires after more than three minutes of failures"
    if alarms["DurationAlarm"]["Threshold"] != 800 * timeout:
        yield "the threshold of the alarm for slow invocations is not 80 % of the timeout"


def failures_reach_the_dead_letter_queue(stack: Resolved) -> Iterator[str]:
    dead = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    if stack.resources["UploadsQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"] != dead:
        yield "failed messages do not go to the dead-letter queue"
    asynchronous = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    kept = [one["DestinationConfig"]["OnFailure"]["Destination"] for one in asynchronous]
    allowed = [one["Resource"] for one in role(stack).values() if one["Action"] == "sqs:SendMessage"]
    if (kept, allowed) != ([dead, dead], [dead]):
        yield f"failed asynchronous events go to {kept}, and the role allows {allowed}"
    for name, one in stack.of_type(_RULE).items():
        if [target["DeadLetterConfig"]["Arn"] for target in one["Targets"]] != [dead]:
            yield f"{name} has no dead-letter queue"


def the_trigger_selects_one_event_path(stack: Resolved) -> Iterator[str]:
    trigger, existing = stack.parameters["Trigger"], stack.parameters["ExistingBucket"]
    uploads = existing or "dropvec-uploads-123456789012-eu-west-1"
    sent = {}
    if not existing:
        sent = stack.resources["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    path = {"queue": "QueueConfigurations", "direct": "LambdaConfigurations", "eventbridge": "EventBridgeConfiguration"}
    if list(sent) != ([] if existing else [path[trigger]]) or ("EventTarget" in stack.outputs) != bool(existing):
        yield f"{trigger}: the bucket has the notifications {sent}"
    rules = {one["Name"]: one["EventPattern"]["detail"]["bucket"] for one in stack.of_type(_RULE).values()}
    if rules != ({"dropvec-uploads": {"name": [uploads]}} if trigger == "eventbridge" else {}):
        yield f"{trigger}: the rule is for {rules}"


def all_event_paths_stay_permitted(stack: Resolved) -> Iterator[str]:
    """For any trigger, because uploads during a change of the trigger must not be lost."""
    uploads = f"arn:aws:s3:::{stack.outputs['UploadsBucket']['Value']}"
    senders = [
        each["Condition"]["ArnEquals"]["aws:SourceArn"] for _, each in statements(stack) if "MaySend" in each["Sid"]
    ]
    rule = "arn:aws:events:eu-west-1:123456789012:rule/dropvec-uploads"
    if senders != [uploads, rule, rule]:
        yield f"permitted senders are {senders}"
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    invoked = {
        one["FunctionName"]["Ref"]: one["SourceArn"] for one in permissions if one["Principal"] == "s3.amazonaws.com"
    }
    if invoked != {"FunctionAlias": uploads, "Function": uploads}:
        yield f"the bucket may invoke {invoked}"
    if "UploadsBucket" in stack.resources:
        first = {"UploadsQueuePolicy", "UploadsMayInvokeAlias", *stack.of_type(_RULE)}
        yield from (
            f"the bucket does not depend on {name}" for name in first - references(stack.resources["UploadsBucket"])
        )


def filters_are_consistent(stack: Resolved) -> Iterator[str]:
    prefix, suffix = stack.parameters["KeyPrefix"], stack.parameters["KeySuffix"]
    for reader in ("FunctionRole", "ApiRole") if has_url(stack) else ("FunctionRole",):
        if not role(stack, reader)["ReadUploads"]["Resource"].endswith(f"/{prefix}*{suffix}"):
            yield f"{reader} allows reading other keys"
    if has_url(stack) and role(stack, "ApiRole")["ListUploads"]["Condition"] != {
        "StringLike": {"s3:prefix": f"{prefix}*"}
    }:
        yield "the API may list other keys"
    for one in stack.of_type(_RULE).values():
        if one["EventPattern"]["detail"]["object"]["key"] != [{"wildcard": f"{prefix}*{suffix}"}]:
            yield "the rule is for other keys"
    rules = [{"Name": "prefix", "Value": prefix}, {"Name": "suffix", "Value": suffix}]
    wanted = {"S3Key": {"Rules": rules}} if prefix or suffix else None
    for one in stack.of_type(_BUCKET).values():
        sent = one.get("NotificationConfiguration", {})
        for each in [*sent.get("QueueConfigurations", []), *sent.get("LambdaConfigurations", [])]:
            if each.get("Filter") != wanted:
                yield f"the bucket sends events of other keys: {each}"


def alarms_notify_the_topic(stack: Resolved) -> Iterator[str]:
    topic = stack.parameters["AlarmTopicArn"]
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    of_uploads = {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
        "Errors",
        "Failed",
        "FailedInvokeEventCount",
        "DestinationDeliveryFailures",
        "Throttles",
        "Duration",
    } | ({"FailedInvocations"} if stack.parameters["Trigger"] == "eventbridge" else set())
    of_the_index = {"IteratorAge", "Errors", "OnFailureDestinationDeliveredEventCount"} if has_search(stack) else set()
    by_index = {name: one["MetricName"] for name, one in alarms.items() if name.startswith("Index")}
    if set(by_index.values()) != of_the_index:
        yield f"alarms of the index: {by_index}"
    others = {name for name in alarms if not name.startswith(("Index", "Api"))}
    if {alarms[name]["MetricName"] for name in others} != of_uploads:
        yield f"alarms: {list(alarms)}"
    (mapping,) = alarms["FailedBatchesAlarm"]["Dimensions"]
    if mapping["Value"] != {"Ref": "FunctionUploads"}:
        yield f"FailedBatchesAlarm watches {mapping}"
    for name in by_index:
        (dimension,) = alarms[name]["Dimensions"]
        if dimension["Value"] != {"Ref": "IndexerChanges" if name == "IndexFailuresAlarm" else "Indexer"}:
            yield f"{name} watches {dimension}"
    for name, one in alarms.items():
        if (one.get("AlarmActions"), one.get("OKActions")) != (([topic] if topic else [],) * 2):
            yield f"{name} notifies {one.get('AlarmActions')}"
        if one["TreatMissingData"] != "notBreaching":
            yield f"{name} fires without data"


def alarms_watch_the_api_with_a_url(stack: Resolved) -> Iterator[str]:
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    found = {name: one["MetricName"] for name, one in alarms.items() if name.startswith("Api")}
    if set(found.values()) != ({"Url5xxCount", "Throttles"} if has_url(stack) else set()):
        yield f"alarms of the API: {found}"
    for name in found:
        if alarms[name]["Dimensions"] != [{"Name": "FunctionName", "Value": {"Ref": "ApiFunction"}}]:
            yield f"{name} watches {alarms[name]['Dimensions']}"


def the_functions_have_limits_and_tracing(stack: Resolved) -> Iterator[str]:
    function = stack.of_type(_FUNCTION)["Function"]
    is_direct = stack.parameters["Trigger"] == "direct"
    reserved = function.get("ReservedConcurrentExecutions")
    if reserved != (stack.parameters["MaximumConcurrency"] if is_direct else None):
        yield f"the reserved concurrency is {reserved}"
    parameter = "BackfillConcurrency" if is_direct else "MaximumConcurrency"
    limit = stack.resources["FunctionUploads"]["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    if limit != stack.parameters[parameter]:
        yield f"the event source mapping's limit is {limit}"
    if parameter not in stack.resources["WaitingAlarm"]["Properties"]["AlarmDescription"]:
        yield f"the alarm for old messages does not name {parameter}"
    wanted = stack.parameters["ApiConcurrency"]
    if has_search(stack):
        api = stack.of_type(_FUNCTION)["ApiFunction"]
        if api.get("ReservedConcurrentExecutions") != (None if wanted == "0" else wanted):
            yield "the search function's reserved concurrency is another one"
    for function_name, one in stack.of_type(_FUNCTION).items():
        name = function_name.removesuffix("Function") or function_name
        if one["Tracing"] != "Active" or one["Role"] != {"Fn::GetAtt": [f"{name}Role", "Arn"]}:
            yield f"{name} is not traced, or has another role"
        if one["LoggingConfig"] != {"LogGroup": {"Ref": f"{name}Logs"}}:
            yield f"{name} writes to another log"
        if role(stack, f"{name}Role")["Trace"]["Action"] != ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]:
            yield f"the statement Trace of {name}'s role allows other actions"


def search_exists_only_if_it_is_on(stack: Resolved) -> Iterator[str]:
    found = {name for name in stack.resources if name.startswith(("Index", "Api", "Vector"))}
    found |= {name for name in stack.outputs if name.startswith(("Index", "Api", "Vector"))}
    if not has_search(stack) and found:
        yield f"without search there are {found}"
    if (
        has_search(stack)
        and not {"VectorBucket", "Indexer", "ApiFunction", "VectorBucketName", "IndexerName", "ApiName"} <= found
    ):
        yield f"with search there are only {found}"
    stream = stack.of_type(_TABLE)["Table"].get("StreamSpecification")
    if stream != ({"StreamViewType": "NEW_AND_OLD_IMAGES"} if has_search(stack) else None):
        yield f"the table's stream is {stream}"


def the_indexer_follows_the_table(stack: Resolved) -> Iterator[str]:
    if not has_search(stack):
        return
    mapping = stack.of_type("AWS::Lambda::EventSourceMapping")["IndexerChanges"]
    wanted = {
        "FunctionName": {"Ref": "IndexerAlias"},
        "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 1,
        "BisectBatchOnFunctionError": True,
        "MaximumRecordAgeInSeconds": 12 * 60 * 60,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["ResultsBucket", "Arn"]}}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    if mapping != wanted:
        yield f"the event source mapping is {mapping}"


def failure_records_expire(stack: Resolved) -> Iterator[str]:
    rules = stack.of_type(_BUCKET)["ResultsBucket"]["LifecycleConfiguration"]["Rules"]
    by_prefix = {rule.get("Prefix", ""): str(rule["ExpirationInDays"]) for rule in rules if rule["Status"] == "Enabled"}
    days = stack.parameters["ResultsRetentionDays"]
    if by_prefix != {"aws/lambda/": "14"} | ({} if days == "0" else {"": days}):
        yield f"the results bucket's lifecycle rules are {by_prefix}"
    if has_search(stack) and role(stack, "IndexerRole")["WriteFailureRecords"]["Resource"] != {
        "Fn::Sub": "${ResultsBucket.Arn}/aws/lambda/*"
    }:
        yield "the indexer may write other objects than failure records"


def functions_run_their_commands(stack: Resolved) -> Iterator[str]:
    image, api_image = stack.parameters["ImageUri"], stack.parameters["ApiImageUri"]
    found = {
        name: (one["ImageUri"], one.get("ImageConfig", {}).get("Command"))
        for name, one in stack.of_type(_FUNCTION).items()
    }
    wanted: dict[str, Any] = {"Function": (image, None)}
    if has_search(stack):
        wanted["Indexer"] = (image, ["handler.index.app.handler"])
        wanted["ApiFunction"] = (api_image or image, ["handler.api.app.handler"])
    if found != wanted:
        yield f"the functions run {found}"


def triggers_and_callers_use_the_alias(stack: Resolved) -> Iterator[str]:
    """A new version serves only after its check, so nothing may name a function, whose latest code is not checked."""
    functions = {"Function": "FunctionAlias", "Indexer": "IndexerAlias", "ApiFunction": "ApiAlias"}
    if not has_search(stack):
        functions = {"Function": "FunctionAlias"}
    found = stack.of_type("AWS::Lambda::Alias")
    constant = {"FunctionVersion": "$LATEST", "Name": "live"}  # so CloudFormation never changes an alias again
    if found != {alias: {"FunctionName": {"Ref": name}, **constant} for name, alias in functions.items()}:
        yield f"the aliases are {found}"
    for name, one in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        if one["FunctionName"]["Ref"] not in functions.values():
            yield f"{name} invokes {one['FunctionName']}"
    qualifiers = {one["Qualifier"] for one in stack.of_type("AWS::Lambda::EventInvokeConfig").values()}
    if qualifiers != {"live", "$LATEST"}:  # of the latest code, for what S3 sent during an update
        yield f"failed events of {qualifiers} are kept"


def outputs_and_notifications_name_the_alias(stack: Resolved) -> Iterator[str]:
    for one in stack.of_type(_BUCKET).values():
        sent = one.get("NotificationConfiguration", {}).get("LambdaConfigurations", [])
        yield from (f"the bucket invokes {each['Function']}" for each in sent if each["Function"] != _ALIAS)
    for output, name in (("FunctionName", "Function"), ("IndexerName", "Indexer"), ("ApiName", "ApiFunction")):
        if name in stack.resources and stack.outputs[output]["Value"] != {"Fn::Sub": f"${{{name}}}:live"}:
            yield f"the output {output} is {stack.outputs[output]['Value']}"
    if " --function-name ${Function}:live " not in stack.outputs["Check"]["Value"]["Fn::Sub"]:
        yield "the output Check does not check the alias"
    target = stack.outputs.get("EventTarget", {}).get("Value", _ALIAS)
    if stack.parameters["Trigger"] == "direct" and target != _ALIAS:
        yield f"the output EventTarget is {target}"


def functions_of_search_have_separate_rights(stack: Resolved) -> Iterator[str]:
    if not has_search(stack):
        return
    if "s3:GetObject" in actions(stack, "IndexerRole"):
        yield "the indexer may read objects"
    if not actions(stack, "ApiRole").isdisjoint({"dynamodb:PutItem", "dynamodb:UpdateItem", "s3vectors:PutVectors"}):
        yield "the search function may write items or vectors"
    if any(action.startswith("s3vectors:") for action in actions(stack, "FunctionRole")):
        yield "the function may use the index"


def the_url_is_public_only_with_a_token(stack: Resolved) -> Iterator[str]:
    types = {
        "AWS::Lambda::Url",
        "AWS::SecretsManager::Secret",
    }
    found = {name for name, one in stack.resources.items() if one["Type"] in types}
    if found != ({"ApiUrl"} if has_url(stack) else set()) | ({"ApiToken"} if has_token(stack) else set()):
        yield f"with Api={stack.parameters['Api']} there are {found}"
    for one in stack.of_type("AWS::Lambda::Url").values():
        wanted = {"TargetFunctionArn": {"Ref": "ApiFunction"}, "Qualifier": "live"}
        if one != wanted | {"AuthType": "NONE" if has_token(stack) else "AWS_IAM"}:
            yield f"the URL is {one}"
    permissions = [one for one in stack.of_type("AWS::Lambda::Permission").values() if one["Principal"] == "*"]
    function = {"FunctionName": {"Ref": "ApiAlias"}, "Principal": "*"}
    by_url = {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE", **function}
    by_invocation = {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True, **function}
    if permissions != ([by_url, by_invocation] if has_token(stack) else []):
        yield f"anyone may {permissions}"
    if has_search(stack):
        variables = stack.of_type(_FUNCTION)["ApiFunction"]["Environment"]["Variables"]
        if variables["TOKEN_SECRET"] != ({"Fn::GetAtt": ["ApiToken", "Id"]} if has_token(stack) else ""):
            yield f"the function's secret is {variables['TOKEN_SECRET']}"
        if variables["API_ACCESS"] != stack.parameters["Api"]:
            yield f"the function's access is {variables['API_ACCESS']}"


def the_api_needs_uploads_only_with_a_url(stack: Resolved) -> Iterator[str]:
    if not has_search(stack):
        return
    sids = {"ReadPagesOfItems", "ListUploads", "ReadUploads", "WriteUploads"}
    wanted = (sids if has_url(stack) else set()) | ({"ReadToken"} if has_token(stack) else set())
    found = role(stack, "ApiRole").keys() & {*sids, "ReadToken"}
    if found != wanted:
        yield f"with Api={stack.parameters['Api']} the role has {found}"


def browsers_may_use_the_own_bucket_with_a_token(stack: Resolved) -> Iterator[str]:
    for name, one in stack.of_type(_BUCKET).items():
        cors = one.get("CorsConfiguration")
        if (cors is not None) != (name == "UploadsBucket" and has_token(stack)):
            yield f"{name}: {cors}"
        if cors and [rule["AllowedMethods"] for rule in cors["CorsRules"]] != [["GET", "POST"]]:
            yield f"{name} allows {cors}"


def pictures_of_jobs_expire(stack: Resolved) -> Iterator[str]:
    days, prefix = stack.parameters["JobRetentionDays"], stack.parameters["KeyPrefix"]
    if "UploadsBucket" not in stack.resources:
        return
    rules = stack.of_type(_BUCKET)["UploadsBucket"]["LifecycleConfiguration"]["Rules"]
    found = {one["Prefix"]: one["ExpirationInDays"] for one in rules if "ExpirationInDays" in one}
    if found != ({} if days == "0" else {f"{prefix}jobs/": days}):
        yield f"objects expire: {found}"


RULES: tuple[Rule, ...] = (
    references_resolve,
    uploads_and_results_are_separate,
    actions_have_no_wildcards,
    resources_have_no_wildcards,
    permissions_name_one_sender,
    everything_is_encrypted,
    the_index_is_encrypted,
    the_roles_may_use_the_given_keys_only,
    earlier_keys_only_decrypt,
    tls_is_required,
    buckets_are_private,
    data_is_retained,
    times_are_consistent,
    failures_reach_the_dead_letter_queue,
    the_trigger_selects_one_event_path,
    all_event_paths_stay_permitted,
    filters_are_consistent,
    alarms_notify_the_topic,
    alarms_watch_the_api_with_a_url,
    the_functions_have_limits_and_tracing,
    triggers_and_callers_use_the_alias,
    outputs_and_notifications_name_the_alias,
    search_exists_only_if_it_is_on,
    the_indexer_follows_the_table,
    failure_records_expire,
    functions_run_their_commands,
    functions_of_search_have_separate_rights,
    the_url_is_public_only_with_a_token,
    the_api_needs_uploads_only_with_a_url,
    browsers_may_use_the_own_bucket_with_a_token,
    pictures_of_jobs_expire,
)
