"""A template with its parameters put in: conditions decided, `Fn::If`, `Fn::FindInMap` and `Fn::Sub` worked out.

What only a deployment knows, such as the ARN of a queue, stays a reference.
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

_NOTHING = object()  # AWS::NoValue: whatever holds it goes
_WORKED_OUT = {"Ref", "Fn::If", "Fn::FindInMap", "Fn::Sub"}
_NAMES = re.compile(r"\$\{([^}!][^}]*)\}")


@dataclass(frozen=True)
class Resolved:
    """What a deployment with these parameters would make.

    Attributes:
        parameters: all of them, defaults included.
        resources: those whose condition holds.
        outputs: likewise.
    """

    parameters: Mapping[str, str]
    resources: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def of_type(self, *kinds: str) -> dict[str, Any]:
        """Name to properties."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] in kinds}

    def dangling(self) -> list[str]:
        """References to what is not there."""
        parts = {**self.resources, **{f"output {name}": one for name, one in self.outputs.items()}}
        return [f"{name} -> {to}" for name, part in parts.items() for to in references(part) - self.resources.keys()]

    def order(self) -> list[str]:
        """An order to make the resources in; CycleError when there is none."""
        return list(TopologicalSorter({name: references(one) for name, one in self.resources.items()}).static_order())


def resolve(template: Template, given: Mapping[str, str]) -> Resolved:
    """Put parameters into a template."""
    parameters = {name: str(given.get(name, one.get("Default"))) for name, one in template["Parameters"].items()}
    work = _Work(template, parameters)
    return Resolved(parameters, work.part("Resources"), work.part("Outputs"))


def references(node: Any) -> set[str]:
    """The logical names that a part of a template refers to."""
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


class _Work:
    def __init__(self, template: Template, parameters: Mapping[str, str]) -> None:
        self.template = template
        self.known = {**PSEUDO, **parameters}

    def part(self, name: str) -> dict[str, Any]:
        there = {
            key: one for key, one in self.template[name].items() if self.holds({"Condition": one.get("Condition")})
        }
        return {key: self.value(one) for key, one in there.items()}

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
        raise ValueError(f"{kind} decides nothing")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [found for each in node if (found := self.value(each)) is not _NOTHING]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1 and node.keys() <= _WORKED_OUT:
            ((kind, of),) = node.items()
            return self.worked_out(kind, of)
        found = {key: self.value(one) for key, one in node.items()}
        return {key: one for key, one in found.items() if one is not _NOTHING}

    def worked_out(self, kind: str, of: Any) -> Any:
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
            if isinstance(value, Mapping):  # a reference that only a deployment can follow
                ((kind, of),) = value.items()
                return "${" + (of if kind == "Ref" else ".".join(of)) + "}"
            return str(value)

        done = _NAMES.sub(put, text)
        return {"Fn::Sub": done} if _NAMES.search(done) else done
