"""The plan of a deployment, determined before any question or change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.common.paths import TEMPLATE
from infra.common.template import load


@dataclass(frozen=True)
class Plan:
    """The plan of a deployment.

    Attributes:
        stack: the stack's name.
        current: CloudFormation's description of the stack; None if it does not exist.
        given: the parameters given on the command line.
    """

    stack: str
    current: Mapping[str, Any] | None
    given: Mapping[str, str]

    @cached_property
    def deployed(self) -> Mapping[str, str]:
        """The deployed values of the parameters; empty if the stack does not exist."""
        return {one["ParameterKey"]: one["ParameterValue"] for one in (self.current or {}).get("Parameters", [])}

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        """The new value of every parameter: as given, else as deployed, else the template's default."""
        defaults = {name: str(one.get("Default", "")) for name, one in load(TEMPLATE)["Parameters"].items()}
        return {**defaults, **self.deployed, **self.given}

    def parameters(self) -> list[Mapping[str, Any]]:
        """The parameters for CloudFormation's CreateChangeSet."""
        deployed = self.deployed.keys() - self.given.keys()
        kept = [
            {"ParameterKey": name, "UsePreviousValue": True}
            for name in load(TEMPLATE)["Parameters"]
            if name in deployed
        ]
        return [*kept, *({"ParameterKey": name, "ParameterValue": value} for name, value in self.given.items())]

    @property
    def creates_uploads_bucket(self) -> bool:
        """Whether the deployment creates the stack's own uploads bucket."""
        had_own_bucket = self.current is not None and self.deployed.get("ExistingBucket", "") == ""
        return not self.wanted["ExistingBucket"] and not had_own_bucket

    @property
    def abandoned_bucket(self) -> str:
        """The uploads bucket that the stack would no longer use; empty if it keeps its bucket."""
        bucket = uploads_bucket(self.current or {})
        is_kept = self.wanted["ExistingBucket"] in {bucket, self.deployed.get("ExistingBucket", "")}
        return "" if is_kept else bucket

    @property
    def replaces_eventbridge(self) -> bool:
        """Whether an existing bucket must be connected to another target before the update deletes the rule."""
        old, new = self.deployed.get("Trigger"), self.wanted["Trigger"]
        keeps_existing_bucket = self.wanted["ExistingBucket"] == uploads_bucket(self.current or {}) != ""
        return keeps_existing_bucket and old == "eventbridge" != new

    @property
    def has_search(self) -> bool:
        """Whether the stack is to have a search index."""
        return self.wanted["Search"] == "true"

    @property
    def creates_index(self) -> bool:
        """Whether the deployment creates a vector bucket; another KMS key replaces it."""
        had_search = self.current is not None and self.deployed.get("Search", "false") == "true"
        keeps_key = self.wanted["KmsKeyArn"] == self.deployed.get("KmsKeyArn", "")
        return self.has_search and not (had_search and keeps_key)

    @property
    def created_log_groups(self) -> list[str]:
        """The names of the log groups that the deployment creates."""
        had_search = self.current is not None and self.deployed.get("Search", "false") == "true"
        suffixes = ([""] if self.current is None else []) + (
            ["-indexer", "-api"] if self.has_search and not had_search else []
        )
        return [f"/aws/lambda/{self.stack}{suffix}" for suffix in suffixes]

    @property
    def creates_url(self) -> bool:
        """Whether the deployment creates a function URL."""
        has_url = self.wanted.get("Api", "none") != "none"
        return self.has_search and has_url and self.deployed.get("Api", "none") == "none"

    @property
    def needs_rebuild(self) -> bool:
        """Whether the table may have items that the new index lacks."""
        return self.creates_index and self.current is not None

    @property
    def abandoned_vector_bucket(self) -> str:
        """The vector bucket that the stack would no longer use; empty if it keeps its bucket."""
        is_kept = self.has_search and not self.creates_index
        return "" if is_kept else vector_bucket(self.current or {})

    @property
    def may_miss_uploads(self) -> bool:
        """Whether the trigger of the same bucket changes, which takes S3 minutes to apply."""
        changes_trigger = self.deployed.get("Trigger") != self.wanted["Trigger"]
        return self.current is not None and changes_trigger and not self.abandoned_bucket


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    """A stack's outputs by key."""
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def uploads_bucket(stack: Mapping[str, Any]) -> str:
    """The name of a stack's uploads bucket; empty if the stack was never created."""
    return outputs(stack).get("UploadsBucket", "")


def vector_bucket(stack: Mapping[str, Any]) -> str:
    """The name of a stack's vector bucket; empty without search."""
    return outputs(stack).get("VectorBucketName", "")
