"""Deploy and delete the stack."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from infra.common.errors import OperatorError
from infra.common.paths import TEMPLATE
from infra.common.program import command
from infra.common.prompt import confirm
from infra.common.template import load
from infra.deploy import changes
from infra.deploy.abandoned import description, disconnect_abandoned
from infra.deploy.account import Account, account, check_stack_name
from infra.deploy.browser_uploads import allow_browsers, remove_rule
from infra.deploy.checks import check
from infra.deploy.connection import connect, disconnect, targets_of
from infra.deploy.http_api import print_access
from infra.deploy.images import with_images
from infra.deploy.imports import import_kept
from infra.deploy.kept import kept_vector_bucket, with_kept
from infra.deploy.keys import with_earlier_keys
from infra.deploy.live import has_aliases
from infra.deploy.parameters import check_parameters
from infra.deploy.plan import Plan, outputs, uploads_bucket, vector_bucket
from infra.deploy.release import check_not_withdrawn, pin, release
from infra.deploy.template_body import template_arguments
from infra.deploy.vector_bucket import VECTOR_BUCKET_TYPE, drop, index_names

_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def deploy(
    stack: str,
    given: Mapping[str, str],
    *,
    named: Mapping[str, str] | None = None,
    template_bucket: str | None = None,
    yes: bool,
) -> dict[str, object]:
    """Create or update the stack: show the changes, ask for confirmation, apply them.

    A new stack takes over what an earlier one of the same name kept.

    Args:
        stack: the stack's name.
        given: parameters of the template; others keep their deployed or default values.
        named: names of kept resources that CloudFormation no longer knows, by logical id.
        template_bucket: bucket through which CloudFormation receives the template; None sends it in the request.
        yes: do not ask.

    Returns:
        Whether the stack is up to date, its outputs, and the versions that serve, for --json.

    Raises:
        CheckError: it would fail; nothing was changed.
        OperatorError: AWS returned an error, a new version did not pass its check, or with `yes` an existing bucket
            could not be connected.
    """
    check_stack_name(stack)
    check_parameters(load(TEMPLATE)["Parameters"], given)
    with account() as aws:
        plan = Plan(stack, changes.find_stack(aws.cloudformation, stack), given)
        plan = with_earlier_keys(with_images(aws, with_kept(aws, plan, named)))
        check(aws, plan)
        check_not_withdrawn(aws, plan)
        if plan.given and plan.current is not None and not has_aliases(plan.current):
            if not _add_aliases(aws, replace(plan, given={}), template_bucket, yes=yes):
                return {"stack": stack, "deployed": False, "outputs": {}}
            plan = replace(plan, current=changes.find_stack(aws.cloudformation, stack))
        return _deploy(aws, plan, template_bucket, yes=yes)


def _add_aliases(aws: Account, plan: Plan, template_bucket: str | None, *, yes: bool) -> bool:
    """Update a stack of an earlier template without any other change, so that a new version can be checked then.

    Returns:
        Whether it was done; False if the user does not want it.
    """
    print("The stack is of an earlier template. First it gets the present one, with its image and its parameters.")
    if _apply(aws, plan, template_bucket, yes=yes) is None:
        return False
    if updated := changes.find_stack(aws.cloudformation, plan.stack):
        connect(aws, updated, plan.wanted, yes=yes)  # a bucket that names the function now names the alias
    print()
    return True


def _deploy(aws: Account, plan: Plan, template_bucket: str | None, *, yes: bool) -> dict[str, object]:
    """Apply a plan, release the functions' new versions, and connect the buckets."""
    applied = _apply(aws, plan, template_bucket, yes=yes)
    if applied is None:
        return {"stack": plan.stack, "deployed": False, "outputs": {}}
    deployed = changes.find_stack(aws.cloudformation, plan.stack)
    if deployed is None:
        raise OperatorError(f"the stack {plan.stack} was deleted in the meantime: deploy it again")
    disconnect_abandoned(aws, plan, deployed)
    versions = release(aws, deployed, plan, yes=yes or applied)
    for output in deployed["Outputs"]:
        print(f"\n{output.get('Description', output['OutputKey'])}\n  {output['OutputValue']}")
    print_access(outputs(deployed), aws.region)
    is_connected = plan.replaces_eventbridge or connect(aws, deployed, plan.wanted, yes=yes)
    allow_browsers(aws, plan.stack, plan.wanted, yes=yes)
    _print_follow_up(plan, uploads_bucket(deployed))
    if yes and not is_connected:
        raise OperatorError(
            f"the stack {plan.stack} is deployed, but the bucket {plan.wanted['ExistingBucket']} does not send its "
            "events to it; the reason is above"
        )
    return {"stack": plan.stack, "deployed": True, "outputs": outputs(deployed), "versions": versions}


def _print_follow_up(plan: Plan, uploads: str) -> None:
    """Print what the user may want to do after this deployment."""
    if plan.may_miss_uploads:
        print(
            "\nFor a few minutes after this change S3 may not send events. To embed uploads without a result, run "
            f"`{command('backfill')} --stack {plan.stack} s3://{uploads}/{plan.wanted['KeyPrefix']}` (--dry-run "
            "only counts them). Results of objects that are deleted in these minutes are kept."
        )
    if plan.imported:
        print(
            "\nUploads of the time without a stack are not embedded yet. To embed them, run "
            f"`{command('backfill')} --stack {plan.stack} s3://{uploads}/{plan.wanted['KeyPrefix']}`. Results of "
            "objects that were deleted in that time are kept."
        )
    if plan.needs_rebuild:
        print(
            "\nThe search index has only what changes from now on. To index the items that the table already has, run "
            f"`{command('index rebuild')} --stack {plan.stack}`."
        )
    if plan.abandoned_vector_bucket:
        bucket = plan.abandoned_vector_bucket
        print(f"\nThe stack no longer uses the vector bucket {bucket}. It is kept with its indexes.")


def _apply(aws: Account, plan: Plan, template_bucket: str | None, *, yes: bool) -> bool | None:
    """Create a change set, ask, and apply it.

    Returns:
        Whether it was applied; False if the stack is up to date, and None if the user does not want it.
    """
    cloudformation, stack, is_new = aws.cloudformation, plan.stack, plan.is_new
    if plan.kept and plan.imported and not plan.kept.is_imported and not import_kept(aws, plan, yes=yes):
        return None
    with template_arguments(aws, template_bucket) as template:
        arguments = {**template, **description(plan)}
        change_set, proposed = changes.propose(cloudformation, stack, arguments, plan.parameters(), is_new=is_new)
    if not proposed:
        print(f"The stack {stack} in {aws.region} is up to date.")
        return False
    print(f"The stack {stack} in {aws.region} of account {aws.id} would be {'created' if is_new else 'updated'}:")
    print("\n".join(map(changes.format_change, proposed)))
    if plan.abandoned_bucket:
        print(f"The bucket {plan.abandoned_bucket} would be disconnected from the stack.")
    if plan.abandoned_vector_bucket and plan.has_search:
        print(
            "The KMS key of a vector bucket cannot be changed: the stack would get a new, empty search index. After "
            f"this change, run `{command('index rebuild')} --stack {stack}`."
        )
    ask = partial(_is_confirmed, aws, plan, yes=yes)
    if not changes.is_accepted(cloudformation, stack, change_set, ask, is_new=is_new):
        return None
    if plan.current is not None:
        pin(aws, plan.current)
    status = changes.execute(cloudformation, stack, change_set)
    if status not in _DONE:
        raise OperatorError(f"the stack {stack} is {status}; the first line above with a reason shows the cause")
    return True


def _is_confirmed(aws: Account, plan: Plan, *, yes: bool) -> bool:
    """Ask for confirmation. If the update will delete EventBridge's rule, first connect the existing bucket elsewhere.

    Raises:
        OperatorError: the bucket could not be connected, and `yes` forbids to ask.
    """
    if not confirm("Apply these changes?", yes=yes):
        return False
    if plan.current is None or not plan.replaces_eventbridge or connect(aws, plan.current, plan.wanted, yes=yes):
        return True
    if yes:
        raise OperatorError(
            "nothing was changed: the bucket's notifications were not changed, so the stack still needs EventBridge's "
            "rule; run the command without --yes, or change the notifications first"
        )
    return confirm("Uploads will not be embedded until the bucket's notifications are changed. Continue?", yes=False)


def destroy(stack: str, *, drop_index: bool, yes: bool) -> dict[str, object]:
    """Delete the stack, after confirmation. The buckets and the table are kept with their contents.

    Args:
        stack: the stack's name.
        drop_index: also delete the vector bucket with its indexes, or only that if the stack was deleted already.
        yes: do not ask.

    Raises:
        OperatorError: the stack does not exist, or AWS returned an error.
    """
    check_stack_name(stack)
    with account() as aws:
        current = changes.find_stack(aws.cloudformation, stack)
        if current is None and drop_index and (left := kept_vector_bucket(aws, stack)):
            return _drop_kept(aws, stack, left, yes=yes)
        if current is None:
            raise OperatorError(f"there is no stack {stack} in {aws.region} of account {aws.id}")
        if current.get("EnableTerminationProtection"):
            raise OperatorError(
                f"the stack {stack} has termination protection; to disable it, run `aws cloudformation "
                "update-termination-protection --no-enable-termination-protection "
                f"--region {aws.region} --stack-name {stack}`"
            )
        dropped = vector_bucket(current) if drop_index else ""
        retained = [line for line in _retained(aws, stack) if not dropped or VECTOR_BUCKET_TYPE not in line]
        _print_consequences(aws, stack, retained, dropped)
        if not confirm("Delete the stack?", yes=yes):
            print("Nothing was changed.")
            return {"stack": stack, "deleted": False, "kept": retained}
        old_events = frozenset(event["EventId"] for event in changes.events(aws.cloudformation, stack))
        aws.cloudformation.delete_stack(StackName=stack)
        status = changes.wait_for_completion(aws.cloudformation, current["StackId"], old_events)
        if status != "DELETE_COMPLETE":
            raise OperatorError(f"the stack {stack} is {status}; the lines above show the cause")
        if bucket := uploads_bucket(current):
            disconnect(aws, bucket, targets_of(aws, current))
            remove_rule(aws, bucket, stack)
        if dropped:  # only now, because the indexer would create an index again
            drop(aws, dropped)
    return {"stack": stack, "deleted": True, "kept": retained}


def _drop_kept(aws: Account, stack: str, bucket: str, *, yes: bool) -> dict[str, object]:
    """Delete the vector bucket that a deleted stack kept, after confirmation."""
    print(f"The stack {stack} was deleted. The vector bucket {bucket} that it kept would be deleted, with its indexes:")
    print("\n".join(f"  {name}" for name in index_names(aws, bucket)) or "  (none)")
    is_confirmed = confirm("Delete the vector bucket?", yes=yes)
    if is_confirmed:
        drop(aws, bucket)
    else:
        print("Nothing was changed.")
    return {"stack": stack, "deleted": is_confirmed, "kept": []}


def _print_consequences(aws: Account, stack: str, retained: Sequence[str], dropped: str) -> None:
    """Print what would be deleted and kept with a stack; `dropped` is the vector bucket to delete, if any."""
    print(f"The stack {stack} in {aws.region} of account {aws.id} would be deleted.")
    if dropped:
        print(f"The vector bucket {dropped} would be deleted, with its indexes:")
        print("\n".join(f"  {name}" for name in index_names(aws, dropped)) or "  (none)")
    print("These resources are kept with their contents until you delete them yourself:")
    print("\n".join(f"  {line}" for line in retained) or "  (none)")


def _retained(aws: Account, stack: str) -> list[str]:
    """The stack's resources that the template retains when the stack is deleted."""
    retained = {
        name for name, one in load(TEMPLATE)["Resources"].items() if str(one.get("DeletionPolicy")).startswith("Retain")
    }
    resources = aws.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return [
        f"{one['ResourceType']:<28} {one['PhysicalResourceId']}"
        for one in resources
        if one["LogicalResourceId"] in retained
    ]
