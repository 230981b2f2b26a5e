"""Push an image of this machine to a registry, with docker, podman or buildah."""

import subprocess
from collections.abc import Mapping, Sequence

from infra.common.errors import CheckError, OperatorError

# The command that prints the id of an image of this machine, without the image's name.
_INSPECT: Mapping[str, tuple[str, ...]] = {
    "docker": ("image", "inspect", "--format", "{{.Id}}"),
    "podman": ("image", "inspect", "--format", "{{.Id}}"),
    "buildah": ("inspect", "--type", "image", "--format", "{{.FromImageID}}"),
}


def image_id(engine: str, image: str) -> str:
    """The id of an image of this machine, 64 hexadecimal digits.

    Raises:
        CheckError: there is no such image.
    """
    done = subprocess.run([engine, *_INSPECT[engine], image], capture_output=True, text=True, check=False)
    found = done.stdout.strip().removeprefix("sha256:")
    if done.returncode != 0 or not found:
        raise CheckError(f"{engine} has no image {image}: build it (`image`), or name another one with --tag")
    return found


def log_in(engine: str, registry: str, user: str, password: str) -> None:
    """Log in to a registry; the password is not on the command line, where other users could read it.

    Raises:
        OperatorError: the engine or the registry refused.
    """
    command = [engine, "login", "--username", user, "--password-stdin", registry]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OperatorError(f"{engine} could not log in to {registry}: {_last_line(done.stderr)}")


def push(engine: str, image: str, uri: str) -> None:
    """Push an image of this machine; the engine prints its own progress.

    Args:
        engine: docker, podman or buildah, logged in to the registry.
        image: the image's name on this machine.
        uri: where it goes, with a tag.

    Raises:
        OperatorError: it failed; layers that were pushed are not pushed again by the next attempt.
    """
    commands: Sequence[list[str]] = (
        [[engine, "tag", image, uri], [engine, "push", uri]] if engine == "docker" else [[engine, "push", image, uri]]
    )
    for command in commands:
        if subprocess.run(command, check=False).returncode != 0:
            raise OperatorError(f"{engine} could not push {uri}; the reason is in its output above")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
