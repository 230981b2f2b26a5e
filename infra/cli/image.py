"""`python -m infra image`: its arguments, and what a bake in the image is told of them."""

import argparse
import os

from infra.cli.bake import DEFAULT_MODEL, add_bake_options

# As Lambda calls them.
ARCHITECTURES = ("x86_64", "arm64")
ENGINES = ("docker", "podman", "buildah")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `image`."""
    command = commands.add_parser(
        "image",
        help="build the function's container image",
        description="Build the function's container image from infra/Dockerfile, with docker, podman or buildah: the "
        "model is baked in it, and the build fails unless the image makes the model's vector. Packages come from where "
        "pip on this machine has them from.",
    )
    command.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="NAME|MANIFEST|BUNDLE",
        help="a manifest's name in infra/manifests, a manifest's path, or a bundle's folder (default: %(default)s)",
    )
    command.add_argument("--tag", default="dropvec:latest", metavar="NAME:TAG", help="(default: %(default)s)")
    command.add_argument("--base", metavar="IMAGE", help="the base image, best by digest (default: the Dockerfile's)")
    command.add_argument("--arch", choices=ARCHITECTURES, help="(default: this machine's)")
    command.add_argument("--engine", choices=ENGINES, help="what builds (default: the first of these that answers)")
    add_bake_options(command)
    command.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> None:
    """Build what the arguments say."""
    from infra.container.build import Build, build  # noqa: PLC0415 - not there inside the build

    build(
        Build(
            model=parsed.model,
            tag=parsed.tag,
            base=parsed.base,
            architecture=parsed.arch,
            bake=bake_options(parsed),
            labels=parsed.labels,
            engine=parsed.engine,
        )
    )


def bake_options(parsed: argparse.Namespace) -> tuple[str, ...]:
    """The options of the bake in the image; its labels are a file, which the build has elsewhere."""
    mirror = parsed.mirror or os.environ.get("DROPVEC_MIRROR")
    options = [word for sha256 in parsed.accept for word in ("--accept", sha256)]
    options += ["--mirror", mirror] if mirror else []
    options += [] if parsed.text else ["--no-text"]
    options += ["--label-template", parsed.label_template] if parsed.labels else []
    return tuple(options)
