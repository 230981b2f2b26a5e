"""Read `infra/template.yaml`, and swap the one thing of it that needs Docker."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]

_FUNCTION = "AWS::Serverless::Function"


@dataclass(frozen=True)
class ZipCode:
    """A function's code as an object in S3, with a `bootstrap` in it."""

    bucket: str
    key: str
    handler: str


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, such as `!Ref`."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """`!GetAtt A.B` -> `{"Fn::GetAtt": ["A", "B"]}`, and so on."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:  # pragma: no cover - YAML has no fourth kind
        raise TypeError(type(node))
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


def load(path: Path) -> Template:
    """Read a YAML template; short tags become long-form intrinsics, so that it can be written as JSON."""
    # A subclass of SafeLoader: it makes plain values only.
    template: Template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - see above
    return template


def with_zip_functions(template: Template, code: ZipCode) -> tuple[Template, list[str]]:
    """Give every container-image function the zip instead; all else stays as it is.

    Returns:
        The new template (the given one is untouched) and the swapped resources' logical names.
    """
    resources = dict(template["Resources"])
    swapped = [name for name, resource in resources.items() if _is_image_function(resource)]
    for name in swapped:
        kept = {key: value for key, value in resources[name].items() if key != "Metadata"}
        resources[name] = kept | {"Properties": _zipped(resources[name]["Properties"], code)}
    return template | {"Resources": resources}, swapped


def _is_image_function(resource: dict[str, Any]) -> bool:
    return bool(resource["Type"] == _FUNCTION and resource["Properties"].get("PackageType") == "Image")


def _zipped(properties: dict[str, Any], code: ZipCode) -> dict[str, Any]:
    image_only = {"PackageType", "ImageUri", "ImageConfig"}
    kept = {key: value for key, value in properties.items() if key not in image_only}
    return kept | {
        "Runtime": "provided.al2023",
        "Handler": code.handler,
        "CodeUri": {"Bucket": code.bucket, "Key": code.key},
    }
