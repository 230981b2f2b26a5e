"""Release the latest code and configuration of a stack's functions, and go back to the release before.

A release publishes a version of each function, checks the versions that are new, and then has the aliases name them. If
one check fails, no alias changes, so the versions before go on serving.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.common.errors import CheckError, OperatorError
from infra.common.program import command
from infra.common.prompt import confirm
from infra.deploy import changes
from infra.deploy.account import Account, account, check_stack_name
from infra.deploy.live import LATEST, Live, Note, image_of, live_versions, move, publish
from infra.deploy.plan import Plan
from infra.deploy.version_check import check_version


def check_not_withdrawn(aws: Account, plan: Plan) -> None:
    """Check that a deployment does not serve again, by accident, what a rollback has withdrawn.

    Raises:
        CheckError: there was a rollback, and no image is given.
    """
    if "ImageUri" in plan.given or plan.current is None:
        return
    for live in live_versions(aws, plan.current):
        if live.note.withdrawn:
            raise CheckError(
                f"version {live.note.withdrawn} of {live.function} was rolled back, and the stack still has its image: "
                f"name the image to deploy with IMAGE_URI=…{_serving(aws, live)}"
            )


def _serving(aws: Account, live: Live) -> str:
    image = image_of(aws, live)
    return f" (the one that serves is {image})" if image else ""


def pin(aws: Account, stack: Mapping[str, Any]) -> None:
    """Have the aliases that name the latest code name a version of it, before an update changes that code.

    Args:
        aws: the account.
        stack: CloudFormation's description of the stack.
    """
    for live in live_versions(aws, stack):
        if live.version == LATEST:
            move(aws, live, publish(aws, live.function), Note())


def release(aws: Account, stack: Mapping[str, Any], plan: Plan, *, yes: bool) -> dict[str, str]:
    """Publish, check, and only then use the latest code and configuration of a stack's functions.

    Args:
        aws: the account.
        stack: CloudFormation's description of the stack.
        plan: the plan that was applied to it.
        yes: do not ask.

    Returns:
        The version that each function's alias names, by function; empty if the user does not want a change.

    Raises:
        OperatorError: a new version does not pass its check; no alias was changed.
    """
    lives = live_versions(aws, stack)
    new = {live: publish(aws, live.function) for live in lives}
    moved = {live: version for live, version in new.items() if version != live.version}
    if moved and not confirm(f"Check and use new versions of {_named(list(moved))}?", yes=yes):
        print("Nothing was changed.")
        return {}
    if plan.has_search and "Search" in plan.given:  # is there an index now that the function's vectors must fit into?
        checked = {live: version for live, version in new.items() if live in moved or live.output == "FunctionName"}
    else:
        checked = moved
    _check(aws, checked, search=plan.has_search)
    time = str(stack.get("LastUpdatedTime", stack.get("CreationTime", "")))
    for live, version in moved.items():
        move(aws, live, version, Note(time.replace(" ", "T"), previous=_previous(live)))
        print(f"Version {version} of {live.function} serves.")
    return {live.function: version for live, version in new.items()}


def _named(lives: Sequence[Live]) -> str:
    return ", ".join(live.function for live in lives)


def _previous(live: Live) -> str:
    return "" if live.version == LATEST else live.version


def _check(aws: Account, versions: Mapping[Live, str], *, search: bool) -> None:
    """Check versions; the error of one says what serves instead."""
    try:
        for live, version in versions.items():
            check_version(aws, live, version, search=search)
    except OperatorError as error:
        olds = ", ".join(f"version {live.version} of {live.function}" for live in versions if live.version != LATEST)
        kept = f"nothing was released; still in use: {olds}" if olds else "deploy another image"
        raise OperatorError(f"{error}; {kept}") from None


def rollback(stack: str, *, yes: bool) -> dict[str, object]:
    """Have the functions of the last release serve the versions before it, after confirmation.

    Args:
        stack: the stack's name.
        yes: do not ask.

    Returns:
        Whether it was done, and the version that each of these functions serves, for --json.

    Raises:
        CheckError: there is no release to undo.
        OperatorError: the stack does not exist, AWS returned an error, or a version before does not pass its check.
    """
    check_stack_name(stack)
    with account() as aws:
        current = changes.find_stack(aws.cloudformation, stack)
        if current is None:
            raise CheckError(f"there is no stack {stack} in {aws.region} of account {aws.id}")
        lives = _last_release(stack, live_versions(aws, current))
        for live in lives:
            print(f"{live.function} would go back from version {live.version} to version {live.note.previous}.")
        if not confirm("Roll back?", yes=yes):
            print("Nothing was changed.")
            return {"stack": stack, "rolled_back": False, "versions": {}}
        _check(aws, {live: live.note.previous for live in lives}, search=False)
        for live in lives:
            move(aws, live, live.note.previous, Note(withdrawn=live.version))
            print(f"Version {live.note.previous} of {live.function} serves again.")
    print(f"The stack's parameters are those of the newer version: {command('deploy')} needs an image the next time.")
    return {"stack": stack, "rolled_back": True, "versions": {live.function: live.note.previous for live in lives}}


def _last_release(stack: str, lives: Sequence[Live]) -> list[Live]:
    """The aliases that changed with the last release."""
    if any(live.note.withdrawn for live in lives):
        raise CheckError(f"nothing to roll back to: the last release of the stack {stack} was already rolled back")
    last = max((live.note.release for live in lives), default="")
    found = [live for live in lives if live.note.release == last and live.note.previous]
    if not found:
        raise CheckError(
            f"nothing to roll back to: no version of the stack {stack} was released before the present one"
        )
    return found
