"""Check the values of the template's parameters, as CloudFormation would, but all before the first call."""

import re
from collections.abc import Mapping
from typing import Any

from infra.common.errors import CheckError
from infra.common.text import suggestion


def check_parameters(known: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> None:
    """Check the names and values of parameters.

    Args:
        known: the template's section `Parameters`.
        given: the parameters to check.

    Raises:
        CheckError: one is unknown, or its value is not allowed.
    """
    for name, value in given.items():
        if name not in known:
            raise CheckError(
                f"the template has no parameter {name}{suggestion(name, known)}; it has {', '.join(known)}"
            )
        if problem := _problem(known[name], value):
            raise CheckError(f"{name}={value}: {problem}")


def _problem(rules: Mapping[str, Any], value: str) -> str:
    """What is wrong with a value; empty if nothing is."""
    allowed = [str(one) for one in rules.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"the value must be one of {', '.join(allowed)}"
    if rules["Type"] == "Number":
        return _number_problem(rules, value)
    if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
        return f"the value must match {rules['AllowedPattern']}"
    if not rules.get("MinLength", 0) <= len(value) <= rules.get("MaxLength", 4096):
        return f"the value must have {rules.get('MinLength', 0)} to {rules.get('MaxLength', 4096)} characters"
    return ""


def _number_problem(rules: Mapping[str, Any], value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,15}", value):
        return "the value must be a whole number"
    least, most = rules.get("MinValue", 0), rules.get("MaxValue")
    if int(value) < least or (most is not None and int(value) > most):
        return f"the value must be at least {least}" + (f" and at most {most}" if most is not None else "")
    return ""
