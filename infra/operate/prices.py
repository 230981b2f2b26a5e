"""Cost of a million images: requests, bytes, write units and seconds times AWS's prices. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRICES_DATE = "2026-11-24"
REGION = "us-east-1"

MILLION = 1_000_000
# One vCPU; with less memory a function gets a proportional share
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
FULL_VCPU_MIB = 1769


@dataclass(frozen=True)
class Price:
    """The price of one unit.

    Attributes:
        dollars: per `unit`.
        unit: such as `GB-second`.
        source: URL of AWS's price page.
    """

    dollars: float
    unit: str
    source: str


# On demand, first tier, without the free tier.
PRICES: Mapping[str, Price] = {
    "lambda_gb_second": Price(0.0000166667, "GB-second, x86", "https://aws.amazon.com/lambda/pricing/"),
    "lambda_request": Price(0.20 / MILLION, "request", "https://aws.amazon.com/lambda/pricing/"),
    "s3_put": Price(0.005 / 1000, "PUT, COPY, POST or LIST", "https://aws.amazon.com/s3/pricing/"),
    "s3_get": Price(0.0004 / 1000, "GET, HEAD and all other requests", "https://aws.amazon.com/s3/pricing/"),
    "dynamodb_write_unit": Price(
        0.625 / MILLION, "write request unit", "https://aws.amazon.com/dynamodb/pricing/on-demand/"
    ),
    "dynamodb_read_unit": Price(
        0.125 / MILLION, "read request unit", "https://aws.amazon.com/dynamodb/pricing/on-demand/"
    ),
    "sqs_request": Price(0.40 / MILLION, "request, standard queue", "https://aws.amazon.com/sqs/pricing/"),
    "s3_gb_month": Price(0.023, "GB stored for a month", "https://aws.amazon.com/s3/pricing/"),
    "dynamodb_gb_month": Price(0.25, "GB stored for a month", "https://aws.amazon.com/dynamodb/pricing/on-demand/"),
    "s3vectors_gb_month": Price(0.06, "GB of vectors stored for a month", "https://aws.amazon.com/s3/pricing/"),
    "s3vectors_put_gb": Price(0.20, "GB of vectors written", "https://aws.amazon.com/s3/pricing/"),
    "s3vectors_query": Price(2.50 / MILLION, "search request", "https://aws.amazon.com/s3/pricing/"),
    "s3vectors_query_tb_first": Price(
        0.004, "TB that a search processes, of the index's first 100,000 vectors", "https://aws.amazon.com/s3/pricing/"
    ),
    "s3vectors_query_tb": Price(
        0.002, "TB that a search processes, of further vectors", "https://aws.amazon.com/s3/pricing/"
    ),
    "log_gb": Price(0.50, "GB of logs ingested", "https://aws.amazon.com/cloudwatch/pricing/"),
}


@dataclass(frozen=True)
class Usage:
    """Resource use of one image.

    Attributes:
        cpu_seconds: compute time on one vCPU.
        wait_seconds: time waiting for the network, the same with any memory size.
        units: units of the other entries of `PRICES`.
    """

    cpu_seconds: float
    wait_seconds: float
    units: Mapping[str, float]


def billed_seconds(use: Usage, memory_mib: int) -> float:
    """Billed seconds of an image with a memory size.

    With less than one vCPU, compute time is longer and waiting time is the same. More than one vCPU gains nothing,
    because one thread computes an image.
    """
    return use.cpu_seconds * max(1.0, FULL_VCPU_MIB / memory_mib) + use.wait_seconds


def bill(use: Usage, memory_mib: int) -> dict[str, float]:
    """Dollars for a million images, by entry of `PRICES`."""
    lines = {"lambda_gb_second": billed_seconds(use, memory_mib) * memory_mib / 1024, **use.units}
    return {name: count * PRICES[name].dollars * MILLION for name, count in lines.items()}


def write_units(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Write units of putting an item: one per KB, rounded up."""
    return max(1, math.ceil(item_bytes(item) / 1024))


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Size of an item in DynamoDB's wire form, as AWS counts it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_bytes(*next(iter(typed.items()))) for name, typed in item.items())


def _value_bytes(kind: str, value: Any) -> int:  # noqa: ANN401 - any DynamoDB value
    if kind == "S":
        return len(str(value).encode())
    if kind == "B":  # base64 on the wire
        text = str(value)
        return len(text) * 3 // 4 - text[-2:].count("=")
    if kind == "N":
        return _number_bytes(str(value))
    if kind in {"BOOL", "NULL"}:
        return 1
    if kind == "L":
        return 3 + sum(1 + _value_bytes(*next(iter(typed.items()))) for typed in value)
    if kind == "M":
        return 3 + len(value) + item_bytes(value)
    raise ValueError(f"unknown attribute type {kind}")


def _number_bytes(text: str) -> int:
    """Approximately: one byte per two significant digits, one more, and one more if negative."""
    digits = text.lower().partition("e")[0].lstrip("+-").replace(".", "").strip("0")
    return math.ceil(len(digits) / 2) + 1 + text.startswith("-")
