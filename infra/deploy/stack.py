"""`make deploy` and `make destroy`."""

from collections.abc import Mapping

from infra.common.errors import OperatorError
from infra.common.paths import TEMPLATE
from infra.common.template import load
from infra.deploy import changes
from infra.deploy.account import Account, account, agreed, check_stack_name
from infra.deploy.checks import check
from infra.deploy.connection import connect, disconnect, listener_of
from infra.deploy.plan import Plan, uploads_bucket

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
        plan = Plan(stack, changes.find_stack(aws.cloudformation, stack), given)
        check(aws, plan)
        if not _apply(aws, plan, yes=yes):
            return
        made = changes.find_stack(aws.cloudformation, stack)
        if made is None:
            raise OperatorError(f"the stack {stack} is gone again")
        for output in made["Outputs"]:
            print(f"\n{output.get('Description', output['OutputKey'])}\n  {output['OutputValue']}")
        if plan.left_bucket:
            disconnect(aws, plan.left_bucket, listener_of(aws, made))
        if not plan.leaves_eventbridge:
            connect(aws, made, plan.wanted, yes=yes)
        if plan.may_miss_uploads:
            print(
                f"\nFor some minutes S3 may tell nobody. `python3 -m infra backfill --stack {stack} "
                f"s3://{uploads_bucket(made)}/{plan.wanted['KeyPrefix']}` embeds what has no result; with --dry-run it "
                "only counts. Of what is deleted in these minutes the vectors stay."
            )


def _apply(aws: Account, plan: Plan, *, yes: bool) -> bool:
    """Propose, ask, do; whether the stack is as it should be now."""
    cloudformation, stack, is_new = aws.cloudformation, plan.stack, plan.there is None
    body = TEMPLATE.read_text(encoding="utf-8")
    arn, proposed = changes.propose(cloudformation, stack, body, plan.parameters(), is_new=is_new)
    if not proposed:
        print(f"The stack {stack} in {aws.region} is as it should be.")
        return True
    print(f"The stack {stack} in {aws.region} of account {aws.id} {'would be made' if is_new else 'would change'}:")
    print("\n".join(map(changes.shown, proposed)))
    if plan.left_bucket:
        print(f"The bucket {plan.left_bucket} would no longer tell it of its objects.")
    is_agreed = False
    try:
        is_agreed = _is_agreed(aws, plan, yes=yes)
    finally:
        if not is_agreed:
            changes.forget(cloudformation, stack, arn, is_new=is_new)
    if not is_agreed:
        print("Nothing was changed.")
        return False
    old = frozenset(event["EventId"] for event in changes.events(cloudformation, stack))
    cloudformation.execute_change_set(ChangeSetName=arn)
    status = changes.await_end(cloudformation, stack, old)
    if status not in _DONE:
        raise OperatorError(f"the stack {stack} is {status}; the first line above that ends in a reason says why")
    return True


def _is_agreed(aws: Account, plan: Plan, *, yes: bool) -> bool:
    """Ask; with a yes, an existing bucket tells the stack in another way before EventBridge's rule goes.

    Raises:
        OperatorError: it does not, and nobody is to be asked.
    """
    if not agreed("Do that?", yes=yes):
        return False
    if plan.there is None or not plan.leaves_eventbridge or connect(aws, plan.there, plan.wanted, yes=yes):
        return True
    if yes:
        raise OperatorError(
            "nothing was changed: until the bucket tells the stack otherwise, it needs EventBridge's rule"
        )
    return agreed("Until it does, no upload is heard of. Go on?", yes=False)


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
        if bucket := uploads_bucket(there):
            disconnect(aws, bucket, listener_of(aws, there))


def _kept(aws: Account, stack: str) -> list[str]:
    """What the template retains, as far as it was made."""
    retained = {
        name for name, one in load(TEMPLATE)["Resources"].items() if str(one.get("DeletionPolicy")).startswith("Retain")
    }
    made = aws.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return [
        f"{one['ResourceType']:<22} {one['PhysicalResourceId']}" for one in made if one["LogicalResourceId"] in retained
    ]
