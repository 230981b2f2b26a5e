"""`python -m infra deploy` and `destroy`, as far as the command line goes."""

import argparse


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add them both."""
    _add_deploy(commands)
    _add_destroy(commands)


def _add_deploy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "deploy",
        help="make or change the stack in your AWS account",
        description="Deploy infra/template.yaml with the credentials and region that the aws command would use. Shows "
        "what would be made, changed and removed, and asks before it does so.",
    )
    command.add_argument("--stack", default="dropvec", metavar="NAME", help="the stack's name (default: %(default)s)")
    command.add_argument(
        "--image", metavar="URI", help="container image in this region's ECR (default: the one that is deployed)"
    )
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a parameter of the template, such as Trigger=eventbridge; one that is not given stays as it is deployed",
    )
    command.add_argument(
        "--yes",
        action="store_true",
        help="do not ask; what somebody else added to the notifications of a bucket that is embedded then stays",
    )
    command.set_defaults(run=_deploy)


def _add_destroy(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "destroy",
        help="delete the stack; buckets and table stay",
        description="Delete the stack, after asking. The buckets and the table stay, with all that is in them.",
    )
    command.add_argument("--stack", default="dropvec", metavar="NAME", help="the stack's name (default: %(default)s)")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.set_defaults(run=_destroy)


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _deploy(parsed: argparse.Namespace) -> None:
    from infra.deploy.stack import deploy  # noqa: PLC0415 - see cli.main

    deploy(parsed.stack, parsed.image, dict(parsed.set), yes=parsed.yes)


def _destroy(parsed: argparse.Namespace) -> None:
    from infra.deploy.stack import destroy  # noqa: PLC0415 - see cli.main

    destroy(parsed.stack, yes=parsed.yes)
