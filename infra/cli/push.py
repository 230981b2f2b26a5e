"""The command `push`, which brings a container engine and the AWS account together."""

import argparse

from infra.cli.image import ENGINES
from infra.cli.options import add_json


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `push`."""
    command = commands.add_parser(
        "push",
        help="push the container image to ECR in your AWS account",
        description="Push the container image that `image` built to Amazon ECR, with the same credentials and region "
        "as the aws command, and print its URI for `deploy`. Creates the repository if there is none: its images are "
        "scanned, and its tags cannot be moved to another image. An interrupted push is continued by the next one.",
    )
    command.add_argument(
        "--tag", default="dropvec:latest", metavar="NAME:TAG", help="image on this machine (default: %(default)s)"
    )
    command.add_argument(
        "--repository", default="dropvec", metavar="NAME", help="repository in ECR (default: %(default)s)"
    )
    command.add_argument("--engine", choices=ENGINES, help="container engine (default: the first of these that works)")
    add_json(command)
    command.set_defaults(run=_push, packages="aws")


def _push(parsed: argparse.Namespace) -> object:
    from infra.common.program import command  # noqa: PLC0415 - see cli.main
    from infra.container.build import find_engine  # noqa: PLC0415 - likewise
    from infra.container.push import image_id, log_in, push  # noqa: PLC0415 - likewise
    from infra.deploy.account import account  # noqa: PLC0415 - likewise
    from infra.deploy.registry import find_image  # noqa: PLC0415 - likewise
    from infra.deploy.repository import create_repository, login, pushed, target_uri  # noqa: PLC0415 - likewise

    engine = find_engine(parsed.engine)
    identity = image_id(engine, parsed.tag)
    with account() as aws:
        tag = parsed.tag.rpartition("/")[2].partition(":")[2]
        uri = target_uri(aws, parsed.repository, tag, identity)
        if create_repository(aws, parsed.repository):
            print(f"Created the repository {parsed.repository} in {aws.region} of account {aws.id}.")
        by_digest = pushed(aws, uri, identity)
        if by_digest is None:
            access = login(aws)
            log_in(engine, access.registry, access.user, access.password)
            push(engine, parsed.tag, uri)
            by_digest = find_image(aws, uri).uri
    deploy = command(f"deploy --image {by_digest}", f"deploy IMAGE_URI={by_digest}")
    print(f"Pushed {uri}\n{by_digest}\nDeploy it with `{deploy}`.")
    return {"image": by_digest, "tag": uri}
