"""A template evaluated with parameters: conditions, `Fn::If`, `Fn::FindInMap` and `Fn::Sub` are resolved.

Values that exist only in a deployment, such as the ARN of a queue, stay references.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from infra.common.template import Template

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "dropvec",
}

_NOTHING = object()  # AWS::NoValue: the property is removed
_FUNCTIONS = {"Ref", "Fn::If", "Fn::FindInMap", "Fn::Sub"}
_NAMES = re.compile(r"\$\{([^}!][^}]*)\}")


@dataclass(frozen=True)
class Resolved:
    """The stack that a deployment with these parameters creates.

    Attributes:
        parameters: all parameters, including defaults.
        resources: resources whose condition is true.
        outputs: outputs whose condition is true.
    """

    parameters: Mapping[str, str]
    resources: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def of_type(self, *kinds: str) -> dict[str, Any]:
        """Properties of the resources of these types, by name."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] in kinds}

    def dangling(self) -> list[str]:
        """References to resources that do not exist."""
        parts = {**self.resources, **{f"output {name}": one for name, one in self.outputs.items()}}
        return [f"{name} -> {to}" for name, part in parts.items() for to in references(part) - self.resources.keys()]

    def order(self) -> list[str]:
        """An order in which to create the resources; raises CycleError if there is none."""
        return list(TopologicalSorter({name: references(one) for name, one in self.resources.items()}).static_order())


def resolve(template: Template, given: Mapping[str, str]) -> Resolved:
    """Evaluate a template with parameters."""
    parameters = {name: str(given.get(name, one.get("Default"))) for name, one in template["Parameters"].items()}
    evaluation = _Evaluation(template, parameters)
    return Resolved(parameters, evaluation.section("Resources"), evaluation.section("Outputs"))


def references(node: Any) -> set[str]:
    """The logical ids that a part of a template refers to."""
    return set(_references(node))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0]
            elif key == "Fn::Sub":
                yield from (name.partition(".")[0] for name in _NAMES.findall(value))
            elif key == "DependsOn":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _references(value)


class _Evaluation:
    def __init__(self, template: Template, parameters: Mapping[str, str]) -> None:
        self.template = template
        self.known = {**PSEUDO, **parameters}

    def section(self, name: str) -> dict[str, Any]:
        existing = {
            key: one for key, one in self.template[name].items() if self.holds({"Condition": one.get("Condition")})
        }
        return {key: self.value(one) for key, one in existing.items()}

    def holds(self, condition: Any) -> bool:
        ((kind, of),) = condition.items()
        match kind:
            case "Condition":
                return of is None or self.holds(self.template["Conditions"][of])
            case "Fn::Equals":
                one, other = (str(self.value(each)) for each in of)
                return one == other
            case "Fn::Not":
                return not self.holds(of[0])
            case "Fn::And":
                return all(self.holds(each) for each in of)
            case "Fn::Or":
                return any(self.holds(each) for each in of)
        raise ValueError(f"{kind} is not a condition")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [found for each in node if (found := self.value(each)) is not _NOTHING]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1 and node.keys() <= _FUNCTIONS:
            ((kind, of),) = node.items()
            return self.evaluate(kind, of)
        found = {key: self.value(one) for key, one in node.items()}
        return {key: one for key, one in found.items() if one is not _NOTHING}

    def evaluate(self, kind: str, of: Any) -> Any:
        match kind:
            case "Ref":
                return _NOTHING if of == "AWS::NoValue" else self.known.get(of, {"Ref": of})
            case "Fn::If":
                return self.value(of[1] if self.holds({"Condition": of[0]}) else of[2])
            case "Fn::FindInMap":
                return self.template["Mappings"][of[0]][self.value(of[1])][of[2]]
        return self.text(*(of if isinstance(of, list) else (of, {})))  # Fn::Sub

    def text(self, text: str, names: Mapping[str, Any]) -> Any:
        def put(found: re.Match[str]) -> str:
            value = self.value(names[found[1]]) if found[1] in names else self.known.get(found[1], found[0])
            if isinstance(value, Mapping):  # a reference that only a deployment can resolve
                ((kind, of),) = value.items()
                if kind == "Fn::Sub":
                    return str(of)
                return "${" + (of if kind == "Ref" else ".".join(of)) + "}"
            return str(value)

        done = _NAMES.sub(put, text)
        return {"Fn::Sub": done} if _NAMES.search(done) else done
