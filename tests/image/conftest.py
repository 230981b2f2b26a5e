from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from infra.common.local_session import ACCESS_KEY
from infra.common.local_stack import Stack
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy
from tests.image.base import base_image
from tests.image.engine import build_image, podman, release
from tests.image.function import Function, function
from tests.image.network import HOST, forwarded, network
from tests.support.bundles import write_tiny_bundle

MODEL = "efficientnet-lite0"
TAG = "localhost/dropvec-test:latest"

# The port of the local AWS inside the function's network.
_PORT = 4566


@pytest.fixture(scope="session", autouse=True)
def _released() -> Iterator[None]:
    yield
    release()


@pytest.fixture(scope="session")
def base() -> str:
    return base_image()


@pytest.fixture(scope="session")
def image(base: str) -> str:
    """The image, built from the project's Dockerfile."""
    done = build_image(MODEL, TAG, base)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    return TAG


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws") / "aws.log") as running:
        yield running


@pytest.fixture(scope="session")
def stack(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The deployed template. Its function is disconnected from the queue, because the tests run the container."""
    made = deploy(aws, write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny"))
    for mapping in made.lambda_.list_event_source_mappings(FunctionName=made.function)["EventSourceMappings"]:
        made.lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    return made


@pytest.fixture(scope="session")
def settings(stack: Stack) -> dict[str, str]:
    """The function's environment variables, as the template and Lambda set them."""
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{_PORT}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_SESSION_TOKEN": ACCESS_KEY,
        "AWS_REGION": stack.region,
        "AWS_DEFAULT_REGION": stack.region,
        "RESULTS_BUCKET": stack.results_bucket,
        "TABLE_NAME": stack.table,
    }


class Start(Protocol):
    """Runs the image within the block, each time in a new network where only the local AWS is reachable."""

    def __call__(self, megabytes: int, *options: str, without: str = "") -> AbstractContextManager[Function]: ...


@pytest.fixture(scope="session")
def start(image: str, aws: LocalAws, settings: dict[str, str]) -> Start:
    @contextmanager
    def started(megabytes: int, *options: str, without: str = "") -> Iterator[Function]:
        given = {name: value for name, value in settings.items() if name != without}
        outside = urlsplit(aws.endpoint).port or 0
        with (
            network() as made,
            forwarded(made, _PORT, outside),
            function(image, made, given, megabytes, *options) as running,
        ):
            yield running

    return started


@pytest.fixture(scope="session")
def unpacked(image: str) -> Iterator[Path]:
    """The image's files."""
    yield Path(podman("image", "mount", image).strip())
    podman("image", "unmount", image)
