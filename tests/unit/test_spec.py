"""`model.json`: every edit that could change a vector or break the function is a one-line error."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from handler.errors import BundleError
from handler.model.fingerprint import fingerprint_of
from handler.model.spec import load_spec
from tests.support.bundles import DIM, write_tiny_bundle
from tests.support.text_bundles import add_text

A_FILE = {"name": "a", "bytes": 1, "sha256": "0" * 64}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")
    add_text(made, DIM)
    return made


def edited(bundle: Path, into: Path, changes: dict[str, Any]) -> Path:
    """A copy of a bundle's `model.json` with some fields changed."""
    fields = json.loads((bundle / "model.json").read_bytes())
    (into / "model.json").write_text(json.dumps(fields | changes), "utf-8")
    return into


def error_of(bundle: Path) -> str:
    """The message of the error that loading a bundle raises."""
    with pytest.raises(BundleError) as caught:
        load_spec(bundle)
    assert "bake" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("fingerprint", ""),
        ("fingerprint", "F" * 64),
        ("fingerprint", ["a"]),
        ("content_sha256", "0" * 63),
        ("embedding_dim", 48.7),
        ("embedding_dim", True),
        ("embedding_dim", 0),
        ("embedding_dim", "48"),
        ("input_name", None),
        ("bytes", 1e300),
        ("sha256", "x" * 64),
        ("channel_order", "BGR"),
        ("channel_order", ["rgb"]),
        ("interpolation", "cubic"),
        ("resize_mode", "squash"),
        ("crop", "none"),
        ("input_size", 32.0),
        ("input_size", 0),
        ("resize_size", 31),
        ("divisor", 0),
        ("divisor", -255),
        ("divisor", "nan"),
        ("divisor", "255"),
        ("divisor", True),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, "nan"]),
        ("mean", [0.5, 0.5, None]),
        ("std", [1, 0, 1]),
        ("std", [1, 1, -1]),
        ("std", 1),
        ("canonical_vector", [0.0] * (DIM - 1)),
        ("canonical_vector", ["x"] * DIM),
        ("canonical_vector", [[0.0]] * DIM),
        ("canary_output", ["x"]),
        ("canary_output", [[1], [1, 2]]),
        ("canary_output", None),
    ],
)
def test_an_invalid_value_is_named(bundle: Path, tmp_path: Path, field: str, value: object) -> None:
    assert field in error_of(edited(bundle, tmp_path, {field: value}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_infinity_and_nan_are_refused(bundle: Path, tmp_path: Path, number: str) -> None:
    text = (bundle / "model.json").read_text("utf-8")
    assert text.count('"divisor":255') == 1
    (tmp_path / "model.json").write_text(text.replace('"divisor":255', f'"divisor":{number}'), "utf-8")
    error_of(tmp_path)


def test_canaries_without_expected_output_are_refused(bundle: Path, tmp_path: Path) -> None:
    prepared = [{"name": "blocks-8", "graph": A_FILE, "weights": A_FILE, "canary": A_FILE}]
    assert load_spec(edited(bundle, tmp_path, {"prepared": prepared, "canary_output": [0.5]})).prepared
    assert "canary_output is empty" in error_of(edited(bundle, tmp_path, {"prepared": prepared}))


@pytest.mark.parametrize("field", ["fingerprint", "content_sha256", "crop", "mean", "prepared", "file"])
def test_a_missing_field_is_named(bundle: Path, tmp_path: Path, field: str) -> None:
    fields = json.loads((bundle / "model.json").read_bytes())
    del fields[field]
    (tmp_path / "model.json").write_text(json.dumps(fields), "utf-8")
    assert f"the field '{field}' is missing" in error_of(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "5", '"text"', "{}", "{", ""])
def test_an_invalid_document_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content)
    error_of(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": 31},
        {"resize_size": 33},
        {"interpolation": "nearest"},
        {"channel_order": "bgr"},
        {"divisor": 256},
        {"mean": [0.5, 0.5, 0.49]},
        {"std": [1, 1, 0.99]},
        {"output_name": "cells"},
        {"content_sha256": "0" * 64},
        {"fingerprint": "0" * 64},
    ],
)
def test_an_edit_that_changes_vectors_is_detected_by_the_fingerprint(
    bundle: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert "was edited after baking" in error_of(edited(bundle, tmp_path, changes))


def test_an_edit_with_the_right_fingerprint_is_another_model(bundle: Path, tmp_path: Path) -> None:
    fields = json.loads((bundle / "model.json").read_bytes()) | {"divisor": 256}
    fingerprint = fingerprint_of(fields["content_sha256"], fields["output_name"], fields)
    spec = load_spec(edited(bundle, tmp_path, {"divisor": 256, "fingerprint": fingerprint}))
    assert spec.preprocess.divisor == 256
    assert spec.fingerprint != load_spec(bundle).fingerprint


def test_an_edit_that_changes_no_vector_keeps_the_fingerprint(bundle: Path, tmp_path: Path) -> None:
    spec = load_spec(edited(bundle, tmp_path, {"name": "mine", "divisor": 255.0, "std": [1.0, 1, 1], "note": "mine"}))
    assert (spec.name, spec.fingerprint) == ("mine", load_spec(bundle).fingerprint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pad_id": 49407}, "was edited after baking"),
        ({"context_length": 64}, "was edited after baking"),
        ({"graph": A_FILE}, "was edited after baking"),
        ({"pad_id": -1}, "pad_id is -1"),
        ({"context_length": "77"}, "context_length is '77'"),
        ({"input_dtype": "float32"}, "input_dtype is 'float32'"),
        ({"fingerprint": ""}, "fingerprint is ''"),
    ],
)
def test_an_invalid_text_tower_is_named(bundle: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    tower = load_spec(bundle).text
    assert tower is not None
    assert message in error_of(edited(bundle, tmp_path, {"text": asdict(tower) | changes}))
