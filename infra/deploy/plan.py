"""The plan of a deployment, determined before any question or change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.common.paths import TEMPLATE
from infra.common.template import load
from infra.deploy.kept import Kept


@dataclass(frozen=True)
class Plan:
    """The plan of a deployment.

    Attributes:
        stack: the stack's name.
        current: CloudFormation's description of the stack; None if it does not exist, or has imported resources only.
        given: the parameters given on the command line.
        kept: what an earlier stack of the same name kept, if the stack is created again.
    """

    stack: str
    current: Mapping[str, Any] | None
    given: Mapping[str, str]
    kept: Kept | None = None

    @cached_property
    def deployed(self) -> Mapping[str, str]:
        """The deployed values of the parameters; empty if the stack does not exist."""
        return {one["ParameterKey"]: one["ParameterValue"] for one in (self.current or {}).get("Parameters", [])}

    @cached_property
    def previous(self) -> Mapping[str, str]:
        """The values that parameters had before: as deployed, or in the earlier stack that kept its resources."""
        if self.kept is None:
            return self.deployed
        known = load(TEMPLATE)["Parameters"]
        return {name: value for name, value in (self.kept.parameters or self.given).items() if name in known}

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        """The new value of every parameter: as given, else the previous one, else the template's default."""
        defaults = {name: str(one.get("Default", "")) for name, one in load(TEMPLATE)["Parameters"].items()}
        return {**defaults, **self.previous, **self.given}

    def parameters(self) -> list[Mapping[str, Any]]:
        """The parameters for CloudFormation's CreateChangeSet."""
        if self.is_new:
            return parameter_values({**self.previous, **self.given})
        previous = self.previous.keys() - self.given.keys()
        kept = [
            {"ParameterKey": name, "UsePreviousValue": True}
            for name in load(TEMPLATE)["Parameters"]
            if name in previous
        ]
        return [*kept, *parameter_values(self.given)]

    @cached_property
    def imported(self) -> Mapping[str, str]:
        """The kept resources that the new stack takes over: what identifies them, by logical id."""
        if self.kept is None:
            return {}
        unused = {"UploadsBucket", "UploadsBucketPolicy"} if self.wanted["ExistingBucket"] else set()
        if not self.has_search or not self._keeps_key:
            unused.add("VectorBucket")
        return {name: value for name, value in self.kept.resources.items() if name not in unused}

    @property
    def is_new(self) -> bool:
        """Whether the deployment creates the stack; otherwise it changes one, perhaps one of imported resources."""
        return self.current is None and not self.imported

    @property
    def creates_uploads_bucket(self) -> bool:
        """Whether the deployment creates the stack's own uploads bucket."""
        had_own_bucket = self.current is not None and self.deployed.get("ExistingBucket", "") == ""
        return not self.wanted["ExistingBucket"] and not had_own_bucket and "UploadsBucket" not in self.imported

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
        if self.kept is not None:
            return self.has_search and "VectorBucket" not in self.imported
        had_search = self.current is not None and self.deployed.get("Search", "false") == "true"
        return self.has_search and not (had_search and self._keeps_key)

    @property
    def _keeps_key(self) -> bool:
        return self.wanted["KmsKeyArn"] == self.previous.get("KmsKeyArn", "")

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
        return self.creates_index and (self.current is not None or "Table" in self.imported)

    @property
    def abandoned_vector_bucket(self) -> str:
        """The vector bucket that the stack would no longer use; empty if it keeps its bucket."""
        if self.has_search and not self.creates_index:
            return ""
        kept = self.kept.resources.get("VectorBucket", "") if self.kept else ""
        return kept.rpartition("/")[2] or vector_bucket(self.current or {})

    @property
    def may_miss_uploads(self) -> bool:
        """Whether the trigger of the same bucket changes, which takes S3 minutes to apply."""
        changes_trigger = self.deployed.get("Trigger") != self.wanted["Trigger"]
        return self.current is not None and changes_trigger and not self.abandoned_bucket


def parameter_values(values: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The values of parameters as CloudFormation expects them."""
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    """A stack's outputs by key."""
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def uploads_bucket(stack: Mapping[str, Any]) -> str:
    """The name of a stack's uploads bucket; empty if the stack was never created."""
    return outputs(stack).get("UploadsBucket", "")


def vector_bucket(stack: Mapping[str, Any]) -> str:
    """The name of a stack's vector bucket; empty without search."""
    return outputs(stack).get("VectorBucketName", "")
