"""Sizes as DynamoDB counts them, and dollars."""

import base64
from typing import Any

import pytest

from infra.operate.prices import PRICES, Usage, bill, billed_seconds, item_bytes, write_units


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ({"S": "abc"}, 3),
        ({"S": "ü"}, 2),
        ({"B": base64.b64encode(bytes(2048)).decode()}, 2048),
        ({"B": base64.b64encode(bytes(2047)).decode()}, 2047),
        ({"N": "1234"}, 3),
        ({"N": "-0.0125"}, 4),
        ({"N": "1000000"}, 2),
        ({"BOOL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"N": "1"}, {"S": "ab"}]}, 3 + (1 + 2) + (1 + 2)),
        ({"M": {"ab": {"BOOL": False}}}, 3 + 1 + 2 + 1),
    ],
)
def test_sizes_of_values(typed: dict[str, Any], size: int) -> None:
    assert item_bytes({"name": typed}) == 4 + size


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1023, 1), (1024, 2), (2047, 2), (2048, 3)])
def test_write_units_are_kilobytes_rounded_up(size: int, units: int) -> None:
    assert write_units({"v": {"B": base64.b64encode(bytes(size)).decode()}}) == units


def test_an_unknown_attribute_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="SS"):
        item_bytes({"names": {"SS": ["a"]}})


@pytest.mark.parametrize(("memory", "seconds"), [(1769, 0.3), (3008, 0.3), (884, 0.2 * 1769 / 884 + 0.1)])
def test_less_memory_lengthens_compute_time_but_not_waiting(memory: int, seconds: float) -> None:
    assert billed_seconds(Usage(0.2, 0.1, {}), memory) == pytest.approx(seconds)


def test_a_bill_multiplies_usage_by_prices() -> None:
    lines = bill(Usage(0.1, 0, {"lambda_request": 0.1, "s3_get": 1, "s3_put": 1, "dynamodb_write_unit": 3}), 1769)
    assert lines == pytest.approx(
        {
            "lambda_gb_second": 0.1 * 1769 / 1024 * 0.0000166667 * 1e6,
            "lambda_request": 0.02,
            "s3_get": 0.4,
            "s3_put": 5.0,
            "dynamodb_write_unit": 1.875,
        }
    )


def test_every_price_names_its_source() -> None:
    assert all(price.source.startswith("https://aws.amazon.com/") for price in PRICES.values())
