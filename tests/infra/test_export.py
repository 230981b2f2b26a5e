"""The errors of `export`; `make test-export` tests it with its packages."""

from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.onnx_export import export


def test_an_unknown_model() -> None:
    with pytest.raises(OperatorError, match="'s3' cannot be exported; models that can: mobileclip-s0, "):
        export("s3", Path("s3.pt"), Path("s3.onnx"))
