"""Log lines: JSON, and CloudWatch metrics in its embedded metric format, which needs no call and no agent.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from handler.errors import DropvecError, InternalError

T = TypeVar("T")

NAMESPACE = "dropvec"
FUNCTION = "FunctionName"


def log(line: Mapping[str, Any]) -> None:
    """Write one line to the log."""
    sys.stdout.write(json.dumps(line) + "\n")


def metric_line(
    dimensions: Mapping[str, str], values: Mapping[str, float | list[float]], seconds: float
) -> dict[str, Any]:
    """A line with metrics; those whose names end in `Ms` are milliseconds, the others counts.

    Args:
        dimensions: such as the function's name.
        values: by metric; at most 100 in a list.
        seconds: the time, since 1970.
    """
    metrics = [
        {"Name": name, "Unit": "Milliseconds" if name.endswith("Ms") else "Count", "StorageResolution": 60}
        for name in values
    ]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": metrics}
    about = {"Timestamp": int(seconds * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, **dimensions, **values}


def with_typed_errors(operation: Callable[[], T]) -> T:
    """Run an operation and raise only errors of our own tree, so that a defect fails one file and not its batch.

    Raises:
        DropvecError: as raised, or an `InternalError` whose trace is in the log.
    """
    try:
        return operation()
    except DropvecError:
        raise
    except Exception as error:  # noqa: BLE001 - the only place that catches every exception
        trace = traceback.format_exc()
        sys.stderr.write(json.dumps({"level": "ERROR", "error": str(error), "trace": trace}) + "\n")
        raise InternalError(f"{type(error).__name__}: {error}"[:300]) from None
