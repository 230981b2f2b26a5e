"""`docker`, `podman` or `buildah` for tests: it has one image, and pushes it to the local AWS's registry.

Its folder has `image`, the digest of the image's configuration, and `bundle`, the path of the image's bundle. It
records its commands in `commands`; while the file `broken` exists, the command of that name fails.
"""

import os
import sys
from pathlib import Path


def main() -> int:
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    with (folder / "commands").open("a") as commands:
        commands.write(f"{' '.join(arguments)}\n")
    broken = folder / "broken"
    if broken.exists() and broken.read_text() in arguments:
        sys.stderr.write("no space left on device\n")
        return 1
    match arguments:
        case ["image", "inspect", *_, "dropvec:latest" | "dropvec:v1"] | [
            "inspect",
            *_,
            "dropvec:latest" | "dropvec:v1",
        ]:
            sys.stdout.write(f"sha256:{(folder / 'image').read_text()}\n")
        case ["image", "inspect", *_] | ["inspect", *_]:
            sys.stderr.write("no such image\n")
            return 1
        case ["login", *_]:
            (folder / "password").write_text(sys.stdin.read())
        case ["push", *_, uri]:
            from tests.support.local_registry import push  # takes half a second

            tag = uri.rpartition(":")[2]
            push(os.environ["AWS_ENDPOINT_URL"], Path((folder / "bundle").read_text()), tag)
    return 0


def install(folder: Path, engine: str) -> None:
    """Write the program of an engine into a folder."""
    script = f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.fake_engine "{folder}" "$@"\n'
    (folder / engine).write_text(script)
    (folder / engine).chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
