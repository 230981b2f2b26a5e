"""The command `image`, and the options that it passes to the bake in the image build."""

import argparse
import os

from infra.cli.bake import DEFAULT_MODEL, add_bake_options
from infra.cli.options import add_json

# Lambda's names of the architectures.
ARCHITECTURES = ("x86_64", "arm64")
ENGINES = ("docker", "podman", "buildah")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `image`."""
    command = commands.add_parser(
        "image",
        help="build the function's container image",
        description="Build the function's container image from infra/Dockerfile with docker, podman or buildah. The "
        "build bakes the model into the image, and fails unless the function in it computes the model's reference "
        "vector. Packages come from the package index that pip uses on this machine.",
    )
    command.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="NAME|MANIFEST|BUNDLE",
        help="name of a manifest in infra/manifests, its path, or a bundle's directory (default: %(default)s)",
    )
    command.add_argument(
        "--tag", default="dropvec:latest", metavar="NAME:TAG", help="tag of the image (default: %(default)s)"
    )
    command.add_argument(
        "--base", metavar="IMAGE", help="base image, preferably by digest (default: the one in infra/Dockerfile)"
    )
    command.add_argument("--arch", choices=ARCHITECTURES, help="architecture (default: this machine's)")
    command.add_argument("--engine", choices=ENGINES, help="container engine (default: the first of these that works)")
    add_bake_options(command)
    add_json(command)
    command.set_defaults(run=run, packages=None)


def run(parsed: argparse.Namespace) -> object:
    """Build the image."""
    from infra.common.prompt import confirm  # noqa: PLC0415 - the image build has no infra.container
    from infra.container.build import Build, build  # noqa: PLC0415 - likewise
    from infra.container.licence import accepted_licence, mirror_of  # noqa: PLC0415 - likewise

    bake = bake_options(parsed)
    unpinned = accepted_licence(parsed.model, parsed.accept, mirror_of(parsed.mirror), confirm)
    build(
        Build(
            model=parsed.model,
            tag=parsed.tag,
            base=parsed.base,
            architecture=parsed.arch,
            bake=(*bake, "--accept", unpinned) if unpinned else bake,
            labels=parsed.labels,
            engine=parsed.engine,
        )
    )
    return {"image": parsed.tag, "model": parsed.model}


def bake_options(parsed: argparse.Namespace) -> tuple[str, ...]:
    """The options for the bake in the image build, except --labels: the build context holds that file elsewhere."""
    mirror = parsed.mirror or os.environ.get("DROPVEC_MIRROR")
    options = [word for sha256 in parsed.accept for word in ("--accept", sha256)]
    options += ["--mirror", mirror] if mirror else []
    options += [] if parsed.text else ["--no-text"]
    options += ["--label-template", parsed.label_template] if parsed.labels else []
    return tuple(options)
