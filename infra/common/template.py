"""Read `infra/template.yaml`, and replace container-image functions, which need Docker, with zip functions."""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # a tenth of the time; all usual platforms have it
except ImportError:  # pragma: no cover - a PyYAML without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

Template = dict[str, Any]

_FUNCTION = "AWS::Serverless::Function"
# A JSON string of several lines.
_LINES = re.compile(r'"(?:[^"\\]|\\.)*?\\n(?:[^"\\]|\\.)*"')
# In it, a line break with the indentation after it, and the space after a comma or a colon between values.
_SPACE = re.compile(r"\\n *|(?<=[\]}\"0-9][,:]) (?=[\[{\"0-9\\])")


@dataclass(frozen=True)
class ZipCode:
    """The code of the functions: a zip in S3 with a `bootstrap` program in it.

    Attributes:
        bucket: where the zip is.
        key: of the zip.
        handler: entry point of the functions whose container image has no other command.
    """

    bucket: str
    key: str
    handler: str


class _Loader(SafeLoader):
    """Loads YAML with CloudFormation's short tags, such as `!Ref`."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """Convert a short tag to its long form: `!GetAtt A.B` -> `{"Fn::GetAtt": ["A", "B"]}`."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:  # pragma: no cover - YAML has no fourth kind of node
        raise TypeError(type(node))
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


def load(path: Path) -> Template:
    """Read a YAML template; short tags become long-form intrinsics, so it can be written as JSON.

    Callers share what is returned and must not change it.
    """
    return _parsed(path.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Template:
    template: Template = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    return template


def to_json(template: Template) -> str:
    """The template as JSON without spaces and comments: CloudFormation limits the size of a request.

    ASCII only, because CloudFormation replaces other characters with question marks. Texts of several lines are the
    JSON of a dashboard, and lose their indentation and spaces, too.
    """
    return _LINES.sub(lambda text: _SPACE.sub("", text[0]), json.dumps(template, separators=(",", ":")))


def with_zip_functions(template: Template, code: ZipCode) -> tuple[Template, list[str]]:
    """Replace the code of every container-image function with a zip; everything else stays unchanged.

    Returns:
        A new template, and the logical names of the functions that were changed.
    """
    resources = dict(template["Resources"])
    swapped = [name for name, resource in resources.items() if _is_image_function(resource)]
    for name in swapped:
        rest = {key: value for key, value in resources[name].items() if key != "Metadata"}
        resources[name] = rest | {"Properties": _zip_properties(resources[name]["Properties"], code)}
    return template | {"Resources": resources}, swapped


def _is_image_function(resource: dict[str, Any]) -> bool:
    return bool(resource["Type"] == _FUNCTION and resource["Properties"].get("PackageType") == "Image")


def _zip_properties(properties: dict[str, Any], code: ZipCode) -> dict[str, Any]:
    image_only = {"PackageType", "ImageUri", "ImageConfig"}
    rest = {key: value for key, value in properties.items() if key not in image_only}
    (handler,) = properties.get("ImageConfig", {}).get("Command", [code.handler])
    return rest | {
        "Runtime": "provided.al2023",
        "Handler": handler,
        "CodeUri": {"Bucket": code.bucket, "Key": code.key},
    }
