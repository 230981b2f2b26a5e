"""Warnings about preprocessing that is probably wrong."""

import dataclasses
from pathlib import Path
from typing import Any

import orjson
import pytest

from handler.images.preprocess import Preprocess
from handler.model.fingerprint import fingerprint_of
from infra.bake.plausibility import preprocessing_warnings, warnings_of
from tests.support.bundles import write_tiny_bundle

IMAGENET = Preprocess(224, 256, "shortest_side", "bicubic", "rgb", 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}, "0 to 255"),
        ({"divisor": 1}, "0 to 1"),
        ({"mean": (0, 0, 0), "std": (1, 1, 1), "divisor": 65025}, "far from the usual"),
        ({"mean": (0.5, 0.5, 0.5), "std": (0.01, 0.01, 0.01)}, "far from the usual"),
    ],
)
def test_statistics_that_do_not_fit_the_divisor_are_named(changes: dict[str, Any], reason: str) -> None:
    (warning,) = preprocessing_warnings(dataclasses.replace(IMAGENET, **changes))
    assert reason in warning
    assert "[preprocess]" in warning


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mean": (0, 0, 0), "std": (1, 1, 1)},
        {"divisor": 128, "mean": (127 / 128,) * 3, "std": (1, 1, 1)},
        {"divisor": 127.5, "mean": (1, 1, 1), "std": (1, 1, 1)},
        {"divisor": 1, "mean": (0, 0, 0), "std": (1, 1, 1)},
        {"divisor": 1, "mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)},
    ],
)
def test_statistics_of_known_models_are_not(changes: dict[str, Any]) -> None:
    assert list(preprocessing_warnings(dataclasses.replace(IMAGENET, **changes))) == []


def test_a_model_that_sees_no_difference_is_named(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    assert list(warnings_of(bundle)) == []
    fields = orjson.loads((bundle / "model.json").read_bytes()) | {"mean": [-1000, -1000, -1000]}
    fields["fingerprint"] = fingerprint_of(fields["content_sha256"], "features", fields)
    (bundle / "model.json").write_bytes(orjson.dumps(fields))
    assert any("hardly differ" in warning for warning in warnings_of(bundle))
