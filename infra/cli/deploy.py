"""The commands `deploy` and `destroy`."""

import argparse

from infra.cli.options import add_json
from infra.common.errors import UsageError

# The kept resources whose names CloudFormation generates, by their names in the template.
_KEPT = ("Table", "VectorBucket")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `deploy` and `destroy`."""
    _add_deploy(commands)
    _add_destroy(commands)


def _add_deploy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "deploy",
        help="create or update the stack in your AWS account",
        description="Deploy infra/template.yaml with the same credentials and region as the aws command. Lists the "
        "resources to add, modify and remove, and asks for confirmation before it changes anything. A new version of a "
        "function is checked before it serves.",
    )
    command.add_argument("--stack", default="dropvec", metavar="NAME", help="name of the stack (default: %(default)s)")
    command.add_argument(
        "--image", metavar="URI", help="container image in ECR in this region (default: the deployed image)"
    )
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a parameter of the template, such as Trigger=eventbridge; other parameters keep their deployed values",
    )
    command.add_argument(
        "--rollback",
        action="store_true",
        help="change nothing but the versions that serve: go back to those before the last release",
    )
    command.add_argument(
        "--import",
        nargs="+",
        action="extend",
        default=[],
        type=_kept,
        dest="kept",
        metavar="NAME=VALUE",
        help="the Table and the VectorBucket that a stack of this name kept, by their names; needed only if it was "
        "deleted more than 90 days ago",
    )
    command.add_argument(
        "--yes",
        action="store_true",
        help="do not ask; event notifications of an existing bucket that deploy did not add are then never removed",
    )
    command.add_argument(
        "--template-bucket",
        metavar="BUCKET",
        help="hand the template to CloudFormation through this bucket in the same region; needed only for a template "
        "of more than 51,200 bytes as JSON, which the one that comes with dropvec is not",
    )
    add_json(command, "print the stack's outputs as JSON on standard output")
    command.set_defaults(run=_deploy, packages="aws")


def _add_destroy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "destroy",
        help="delete the stack, but keep the buckets, the vector bucket and the table",
        description="Delete the stack, after confirmation. The buckets, the vector bucket and the table are kept with "
        "their contents.",
    )
    command.add_argument(
        "--drop-index", action="store_true", help="also delete the S3 vector bucket with its search indexes"
    )
    command.add_argument("--stack", default="dropvec", metavar="NAME", help="name of the stack (default: %(default)s)")
    command.add_argument("--yes", action="store_true", help="do not ask")
    add_json(command)
    command.set_defaults(run=_destroy, packages="aws")


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _kept(text: str) -> tuple[str, str]:
    name, value = _setting(text)
    if name not in _KEPT:
        raise argparse.ArgumentTypeError(f"{name!r} is neither {' nor '.join(_KEPT)}")
    return name, value


def _deploy(parsed: argparse.Namespace) -> object:
    from infra.deploy.release import rollback  # noqa: PLC0415 - see cli.main
    from infra.deploy.stack import deploy  # noqa: PLC0415 - see cli.main

    given = dict(parsed.set) | ({"ImageUri": parsed.image} if parsed.image else {})
    named = dict(parsed.kept)
    if parsed.rollback:
        if given or named or parsed.template_bucket:
            raise UsageError("--rollback goes with --stack, --yes and --json only")
        return rollback(parsed.stack, yes=parsed.yes)
    return deploy(parsed.stack, given, named=named, template_bucket=parsed.template_bucket, yes=parsed.yes)


def _destroy(parsed: argparse.Namespace) -> object:
    from infra.deploy.stack import destroy  # noqa: PLC0415 - see cli.main

    return destroy(parsed.stack, drop_index=parsed.drop_index, yes=parsed.yes)
