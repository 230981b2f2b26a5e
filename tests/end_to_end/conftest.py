from collections.abc import Iterator

import pytest

from infra.bake.reuse import bundle_for
from infra.common.local_stack import Stack
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS for this test session."""
    with local_aws(tmp_path_factory.mktemp("local-aws") / "aws.log") as running:
        yield running


@pytest.fixture(scope="session")
def stack(aws: LocalAws) -> Stack:
    """The deployed template, with the default model (baked once, cached in build/models)."""
    return deploy(aws, bundle_for("efficientnet-lite0"))
