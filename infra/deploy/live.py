"""The alias `live` of each function: which version it names, and what `deploy` noted about it.

Event source mappings, notifications, the URL and direct callers name the alias. CloudFormation changes a function's
latest code, which the alias does not name once `deploy` has published a version.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.common.errors import OperatorError
from infra.deploy.account import Account, needs
from infra.deploy.plan import outputs

ALIAS = "live"
LATEST = "$LATEST"

_POLL_SECONDS, _READY_SECONDS = 0.5, 600.0

# The outputs with the functions, in the order in which their aliases change: the indexer first, because an older one
# may not understand what a newer function writes.
_OUTPUTS = ("IndexerName", "FunctionName", "ApiName")


@dataclass(frozen=True)
class Note:
    """What `deploy` notes in the alias's description.

    Attributes:
        release: the stack's time of update with which the version was released; aliases that changed together have the
            same one. Empty if the version was not released by `deploy`, or after a rollback.
        previous: the version before this release, which a rollback returns to; empty without one.
        withdrawn: the version that a rollback replaced; empty without a rollback.
    """

    release: str = ""
    previous: str = ""
    withdrawn: str = ""

    def __str__(self) -> str:
        """The alias's description."""
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if value)

    @classmethod
    def parse(cls, description: str) -> "Note":
        """Read a description; other text than that of `deploy` is ignored."""
        pairs = dict(part.partition("=")[::2] for part in description.split())
        return cls(**{name: pairs.get(name, "") for name in vars(cls())})


@dataclass(frozen=True)
class Live:
    """A function's alias.

    Attributes:
        output: the stack's output that names it.
        function: the function's name.
        version: the version that it names.
        note: what `deploy` noted.
        revision: changes with every change of the alias.
    """

    output: str
    function: str
    version: str
    note: Note
    revision: str


def has_aliases(stack: Mapping[str, Any]) -> bool:
    """Whether a stack's functions have the alias; stacks of an earlier template do not."""
    return outputs(stack).get("FunctionName", "").endswith(f":{ALIAS}")


def live_versions(aws: Account, stack: Mapping[str, Any]) -> list[Live]:
    """The aliases of a stack's functions; none if the stack's template is an earlier one."""
    if not has_aliases(stack):
        return []
    named = outputs(stack)
    functions = {output: named[output].removesuffix(f":{ALIAS}") for output in _OUTPUTS if output in named}
    return [_live(aws, output, function) for output, function in functions.items()]


def _live(aws: Account, output: str, function: str) -> Live:
    with needs("lambda:GetAlias"):
        answer = aws.lambda_.get_alias(FunctionName=function, Name=ALIAS)
    note = Note.parse(answer.get("Description", ""))
    return Live(output, function, answer["FunctionVersion"], note, answer["RevisionId"])


def publish(aws: Account, function: str) -> str:
    """Publish a version of a function's latest code and configuration; without changes it is the last one again.

    Raises:
        OperatorError: the function's last update failed, or does not end.
    """
    _await(aws, function, LATEST, "LastUpdateStatus", "InProgress")
    return aws.lambda_.publish_version(FunctionName=function)["Version"]


def await_ready(aws: Account, function: str, version: str) -> None:
    """Wait until a version can be invoked. One that is inactive can: Lambda activates it then.

    Raises:
        OperatorError: Lambda cannot make it ready, or not in time.
    """
    _await(aws, function, version, "State", "Pending")


def _await(aws: Account, function: str, qualifier: str, field: str, pending: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        config: Mapping[str, Any] = aws.lambda_.get_function_configuration(FunctionName=function, Qualifier=qualifier)
        if config.get(field) == "Failed":
            reason = config.get(f"{field}Reason", "no reason given")
            raise OperatorError(f"Lambda cannot run version {qualifier} of {function}: {reason}")
        if config.get(field) != pending:
            return
        if time.monotonic() > deadline:
            raise OperatorError(f"version {qualifier} of {function} is still {pending}: run the command again later")
        time.sleep(_POLL_SECONDS)


def image_of(aws: Account, live: Live) -> str:
    """The container image of the version that an alias names; empty if it has none."""
    code: Mapping[str, Any] = aws.lambda_.get_function(FunctionName=live.function, Qualifier=ALIAS)["Code"]
    return str(code.get("ImageUri", ""))


def move(aws: Account, live: Live, version: str, note: Note) -> None:
    """Have an alias name another version, and nothing else of its traffic.

    Raises:
        OperatorError: the alias was changed since it was read.
    """
    try:
        aws.lambda_.update_alias(
            FunctionName=live.function,
            Name=ALIAS,
            FunctionVersion=version,
            Description=str(note),
            RoutingConfig={"AdditionalVersionWeights": {}},
            RevisionId=live.revision,
        )
    except aws.lambda_.exceptions.PreconditionFailedException:
        raise OperatorError(
            f"the alias {live.function}:{ALIAS} was changed in the meantime: run the command again"
        ) from None
