"""`make deploy` and `make destroy`."""

import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import changes, notifications
from infra.deploy.account import Account, account, agreed, check_stack_name
from infra.errors import OperatorError
from infra.local.paths import TEMPLATE
from infra.local.template import load

_IMAGE = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/.+[:@].+")
_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def deploy(stack: str, image: str | None, settings: Mapping[str, str], *, yes: bool) -> None:
    """Make or change the stack: show what would be done, ask, do it.

    Args:
        stack: its name.
        image: URI in ECR; None keeps the deployed one.
        settings: the template's parameters, where they are to differ from what they are now, or from the defaults.
        yes: do not ask.

    Raises:
        OperatorError: a setting is none of the template's, there is no image, or AWS refused something.
    """
    check_stack_name(stack)
    known = load(TEMPLATE)["Parameters"]
    if unknown := [name for name in settings if name not in known]:
        raise OperatorError(f"no parameter of the template: {', '.join(unknown)}; it has {', '.join(known)}")
    given = {**settings, **({"ImageUri": image} if image else {})}
    with account() as aws:
        there = changes.find_stack(aws.cloudformation, stack)
        wanted = _wanted(there, given)
        _check(aws, stack, there, given)
        _check_concurrency(wanted)
        _check_nothing_is_left(aws, stack, there, wanted)
        if not _apply(aws, stack, there, given, yes=yes):
            return
        made = changes.find_stack(aws.cloudformation, stack)
        if made is None:
            raise OperatorError(f"the stack {stack} is gone again")
        for output in made["Outputs"]:
            print(f"\n{output.get('Description', output['OutputKey'])}\n  {output['OutputValue']}")
        if left := _left(there, given):
            _disconnect(aws, left, _listener(aws, made))
        _connect(aws, made, yes=yes)


def _check(aws: Account, stack: str, there: Mapping[str, Any] | None, given: Mapping[str, str]) -> None:
    """Refuse early what would fail late.

    Raises:
        OperatorError: it would.
    """
    image = given.get("ImageUri")
    if image is None and there is None:
        raise OperatorError(
            "the first deployment needs an image: build it (make image), push it to ECR in this account "
            f"({aws.id}.dkr.ecr.{aws.region}.amazonaws.com/…), and name it with IMAGE_URI=…"
        )
    found = _IMAGE.fullmatch(image) if image else None
    if image and (not found or found[1] != aws.region):
        raise OperatorError(f"{image!r} is no image in the ECR of {aws.region}, and Lambda takes no others")
    if there is not None and there["StackStatus"] in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        raise OperatorError(f"the stack {stack} is {there['StackStatus']}, and takes no changes: `make destroy` first")


def _check_nothing_is_left(
    aws: Account, stack: str, there: Mapping[str, Any] | None, wanted: Mapping[str, str]
) -> None:
    """Of the buckets that would be made, none may be there."""
    uploads, results = (f"{stack}-{kind}-{aws.id}-{aws.region}" for kind in ("uploads", "results"))
    makes_uploads = not wanted["ExistingBucket"] and (there is None or _settings(there).get("ExistingBucket"))
    if makes_uploads and _is_there(aws, uploads):
        raise OperatorError(
            f"the bucket {uploads} is there already, kept from earlier: go on using it with "
            f"SET=ExistingBucket={uploads}, or delete it"
        )
    if there is None and _is_there(aws, results):
        raise OperatorError(
            f"the bucket {results} is there already, kept from an earlier stack of that name: delete it, or choose "
            "another name (STACK=…)"
        )


def _is_there(aws: Account, bucket: str) -> bool:
    try:
        aws.s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def _check_concurrency(wanted: Mapping[str, str]) -> None:
    limit, backfill = wanted["MaximumConcurrency"], wanted["BackfillConcurrency"]
    are_numbers = limit.isdecimal() and backfill.isdecimal()  # others CloudFormation refuses
    if wanted["Trigger"] == "direct" and are_numbers and int(backfill) > int(limit):
        raise OperatorError(
            f"BackfillConcurrency={backfill} is a part of MaximumConcurrency={limit}, and cannot exceed it"
        )


def _wanted(there: Mapping[str, Any] | None, given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter as it is to be."""
    defaults = {name: str(one.get("Default", "")) for name, one in load(TEMPLATE)["Parameters"].items()}
    return {**defaults, **_settings(there or {}), **given}


def _parameters(there: Mapping[str, Any] | None, given: Mapping[str, str]) -> list[Mapping[str, Any]]:
    known = load(TEMPLATE)["Parameters"]
    before = _settings(there or {}).keys() - given.keys()
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in known if name in before]
    return [*kept, *({"ParameterKey": name, "ParameterValue": value} for name, value in given.items())]


def _left(there: Mapping[str, Any] | None, given: Mapping[str, str]) -> str:
    """The bucket that a stack would no longer embed; empty where it stays the same one."""
    if there is None or "ExistingBucket" not in given:
        return ""
    bucket = _uploads_bucket(there)
    return "" if given["ExistingBucket"] in {bucket, _settings(there).get("ExistingBucket")} else bucket


def _apply(aws: Account, stack: str, there: Mapping[str, Any] | None, given: Mapping[str, str], *, yes: bool) -> bool:
    """Propose, ask, do; whether the stack is as it should be now."""
    is_new = there is None
    body = TEMPLATE.read_text(encoding="utf-8")
    arn, proposed = changes.propose(aws.cloudformation, stack, body, _parameters(there, given), is_new=is_new)
    if not proposed:
        print(f"The stack {stack} in {aws.region} is as it should be.")
        return True
    print(f"The stack {stack} in {aws.region} of account {aws.id} {'would be made' if is_new else 'would change'}:")
    print("\n".join(map(changes.shown, proposed)))
    if left := _left(there, given):
        print(f"The bucket {left} would no longer tell it of its objects.")
    if not agreed("Do that?", yes=yes):
        changes.forget(aws.cloudformation, stack, arn, is_new=is_new)
        print("Nothing was changed.")
        return False
    old = frozenset(event["EventId"] for event in changes.events(aws.cloudformation, stack))
    aws.cloudformation.execute_change_set(ChangeSetName=arn)
    status = changes.await_end(aws.cloudformation, stack, old)
    if status not in _DONE:
        raise OperatorError(f"the stack {stack} is {status}; the first line above that ends in a reason says why")
    return True


def _connect(aws: Account, made: Mapping[str, Any], *, yes: bool) -> None:
    """Let an existing bucket tell the stack of uploads, if its owner agrees; all that it tells others stays."""
    parameters = _settings(made)
    if not (bucket := parameters["ExistingBucket"]):
        return
    now = notifications.read(aws.s3, bucket)
    listener = _listener(aws, made)
    if notifications.is_told(now, listener, parameters):
        return
    print(f"\nThe bucket {bucket} does not tell of its objects yet. To be added to its notifications:")
    print(f"  {parameters['Trigger']} -> {_outputs(made)['EventTarget']}")
    if agreed("Add that, and leave the others as they are?", yes=yes):
        notifications.write(aws.s3, bucket, notifications.with_stack(now, listener, parameters))
        print("Added.")
    else:
        print("Not added: nothing is embedded until its owner does so.")


def destroy(stack: str, *, yes: bool) -> None:
    """Take the stack away, after a yes. Buckets and table stay, with all that is in them.

    Raises:
        OperatorError: there is none, or AWS refused something.
    """
    check_stack_name(stack)
    with account() as aws:
        there = changes.find_stack(aws.cloudformation, stack)
        if there is None:
            raise OperatorError(f"there is no stack {stack} in {aws.region} of account {aws.id}")
        if there.get("EnableTerminationProtection"):
            raise OperatorError(
                f"the stack {stack} is protected from that; `aws cloudformation update-termination-protection "
                f"--no-enable-termination-protection --region {aws.region} --stack-name {stack}` lifts it"
            )
        kept = _kept(aws, stack)
        print(f"The stack {stack} in {aws.region} of account {aws.id} would be deleted.")
        print("These stay, with all that is in them, until you delete them yourself:")
        print("\n".join(f"  {line}" for line in kept) or "  (nothing)")
        if not agreed("Delete the stack?", yes=yes):
            print("Nothing was changed.")
            return
        old = frozenset(event["EventId"] for event in changes.events(aws.cloudformation, stack))
        aws.cloudformation.delete_stack(StackName=stack)
        status = changes.await_end(aws.cloudformation, there["StackId"], old)
        if status != "DELETE_COMPLETE":
            raise OperatorError(f"the stack {stack} is {status}; the lines above say why")
        if bucket := _uploads_bucket(there):
            _disconnect(aws, bucket, _listener(aws, there))


def _kept(aws: Account, stack: str) -> list[str]:
    """What the template retains, as far as it was made."""
    retained = {
        name for name, one in load(TEMPLATE)["Resources"].items() if str(one.get("DeletionPolicy")).startswith("Retain")
    }
    made = aws.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return [
        f"{one['ResourceType']:<22} {one['PhysicalResourceId']}" for one in made if one["LogicalResourceId"] in retained
    ]


def _disconnect(aws: Account, bucket: str, listener: notifications.Listener) -> None:
    """Take the stack's part out of a bucket's notifications, or say what its owner has to: they go nowhere now."""
    try:
        now = notifications.read(aws.s3, bucket)
        wanted = notifications.without_stack(now, listener)
        if wanted != now:
            # The others may be gone, which is their affair.
            notifications.write(aws.s3, bucket, wanted, is_checked=False)
            print(f"The bucket {bucket} no longer tells the stack {listener.stack} of its objects.")
    except aws.s3.exceptions.NoSuchBucket:
        pass
    except ClientError as error:
        print(
            f"What the notifications of the bucket {bucket} hold for {listener.queue} and {listener.function} is left "
            f"to its owner to remove: {error}"
        )


def _uploads_bucket(stack: Mapping[str, Any]) -> str:
    """The bucket that a stack embeds; empty where the stack was never made, and so no bucket tells it anything."""
    return _outputs(stack).get("UploadsBucket", "")


def _listener(aws: Account, stack: Mapping[str, Any]) -> notifications.Listener:
    outputs, partition = _outputs(stack), aws.cloudformation.meta.partition
    queue, function = outputs["QueueUrl"].rpartition("/")[2], outputs["FunctionName"]
    return notifications.Listener(
        stack["StackName"],
        queue=f"arn:{partition}:sqs:{aws.region}:{aws.id}:{queue}",
        function=f"arn:{partition}:lambda:{aws.region}:{aws.id}:function:{function}",
    )


def _outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def _settings(stack: Mapping[str, Any]) -> dict[str, str]:
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
