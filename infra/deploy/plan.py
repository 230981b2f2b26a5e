"""What a deployment is to make of a stack, worked out before anything is asked or done."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.common.paths import TEMPLATE
from infra.common.template import load


@dataclass(frozen=True)
class Plan:
    """What a deployment is to make of a stack.

    Attributes:
        stack: its name.
        there: what CloudFormation says of it; None where it is to be made.
        given: the parameters that are named now.
    """

    stack: str
    there: Mapping[str, Any] | None
    given: Mapping[str, str]

    @cached_property
    def before(self) -> Mapping[str, str]:
        """The parameters that it is deployed with; none where it is to be made."""
        return {one["ParameterKey"]: one["ParameterValue"] for one in (self.there or {}).get("Parameters", [])}

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        """Every parameter as it is to be: as given, else as deployed, else the template's default."""
        defaults = {name: str(one.get("Default", "")) for name, one in load(TEMPLATE)["Parameters"].items()}
        return {**defaults, **self.before, **self.given}

    def parameters(self) -> list[Mapping[str, Any]]:
        """The parameters as CloudFormation takes them."""
        before = self.before.keys() - self.given.keys()
        kept = [
            {"ParameterKey": name, "UsePreviousValue": True} for name in load(TEMPLATE)["Parameters"] if name in before
        ]
        return [*kept, *({"ParameterKey": name, "ParameterValue": value} for name, value in self.given.items())]

    @property
    def makes_uploads_bucket(self) -> bool:
        """Whether it would have a bucket of its own, and has none yet."""
        return not self.wanted["ExistingBucket"] and (self.there is None or self.before.get("ExistingBucket", "") != "")

    @property
    def left_bucket(self) -> str:
        """The bucket that it would no longer embed; empty where it stays the same one."""
        bucket = uploads_bucket(self.there or {})
        stays = self.wanted["ExistingBucket"] in {bucket, self.before.get("ExistingBucket", "")}
        return "" if stays else bucket

    @property
    def leaves_eventbridge(self) -> bool:
        """Whether an existing bucket is to tell it in another way before the change, with which the rule goes."""
        was, is_to_be = self.before.get("Trigger"), self.wanted["Trigger"]
        stays = self.wanted["ExistingBucket"] == uploads_bucket(self.there or {}) != ""
        return stays and was == "eventbridge" != is_to_be

    @property
    def may_miss_uploads(self) -> bool:
        """Whether the bucket that it embeds now is to tell it in another way, which S3 takes minutes to heed."""
        changes_trigger = self.before.get("Trigger") != self.wanted["Trigger"]
        return self.there is not None and changes_trigger and not self.left_bucket


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    """A stack's outputs by their keys."""
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def uploads_bucket(stack: Mapping[str, Any]) -> str:
    """The bucket that a stack embeds; empty where the stack was never made, and so no bucket tells it anything."""
    return outputs(stack).get("UploadsBucket", "")
