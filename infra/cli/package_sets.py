"""Which packages each command needs, and the sets that a checkout's environments are made of. Standard library only."""

from dataclasses import dataclass

_BASE = ("httpx", "multipart", "numpy", "onnx", "onnxruntime", "orjson", "PIL", "pydantic", "rich", "tokenizers")
_AWS = (*_BASE, "boto3", "yaml")

# Where `python3 -m infra` and make install packages, relative to the checkout.
MAIN, EXPORT, SAM, CHECKOV = ".venv", ".venv-export", ".venv-sam", ".venv-checkov"
SCHEMATHESIS = ".venv-schemathesis"


@dataclass(frozen=True)
class PackageSet:
    """A set of packages, as extras and dependency groups of pyproject.toml.

    Attributes:
        modules: modules that can be imported if the set is installed; empty for the sets of developers.
        extras: extras of pyproject.toml.
        groups: dependency groups of pyproject.toml.
        venv: the environment of the checkout that the set is installed into.
        megabytes: what the set takes on disk, in 10^6 bytes, measured on Linux.
        packages: requirements, instead of those of pyproject.toml.
        constraints: the file with the pinned versions.
        on_request: whether a command names the command that installs the set, instead of installing it.
    """

    modules: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    venv: str = MAIN
    megabytes: int = 0
    packages: tuple[str, ...] = ()
    constraints: str = "constraints.txt"
    on_request: bool = False


# The sets of commands are named like the extras that installed copies need for them; `base` and `completion` need none.
COMMAND_SETS = {
    "base": PackageSet(modules=_BASE, megabytes=270),
    "completion": PackageSet(modules=("shtab",), megabytes=270),
    "aws": PackageSet(modules=_AWS, extras=("aws",), megabytes=310),
    "demo": PackageSet(modules=(*_AWS, "awslambdaric", "ministack", "samtranslator"), extras=("demo",), megabytes=350),
    "vectors": PackageSet(modules=(*_AWS, "pyarrow"), extras=("vectors",), megabytes=470),
    "export": PackageSet(
        modules=(*_BASE, "torch", "torchvision", "open_clip", "timm", "onnxscript"),
        extras=("export",),
        venv=EXPORT,
        megabytes=5500,
        on_request=True,
    ),
}
DEVELOPER_SETS = {
    "test": PackageSet(extras=("demo", "vectors"), groups=("test",), megabytes=700),
    "check": PackageSet(extras=("demo", "vectors"), groups=("test", "check"), megabytes=950),
    "test-export": PackageSet(extras=("export",), groups=("test-export",), venv=EXPORT, megabytes=5500),
    "sam": PackageSet(packages=("aws-sam-cli",), venv=SAM, constraints="infra/constraints-sam.txt", megabytes=330),
    "checkov": PackageSet(
        packages=("checkov",), venv=CHECKOV, constraints="infra/constraints-checkov.txt", megabytes=230
    ),
    "schemathesis": PackageSet(
        packages=("schemathesis",),
        venv=SCHEMATHESIS,
        constraints="tests/soak/constraints-schemathesis.txt",
        megabytes=100,
    ),
}
SETS = COMMAND_SETS | DEVELOPER_SETS
