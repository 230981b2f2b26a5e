"""Import what an earlier stack kept into a new stack of the same name.

CloudFormation creates nothing else in the same operation, so an update must follow. For what an import requires, see
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from infra.common.errors import OperatorError
from infra.common.paths import TEMPLATE
from infra.common.prompt import confirm
from infra.common.template import Template, load, to_json
from infra.deploy import changes
from infra.deploy.plan import parameter_values

if TYPE_CHECKING:
    from infra.deploy.account import Account
    from infra.deploy.plan import Plan

# The property that identifies a resource of a type: the primary identifier of the type's schema.
_IDENTIFIERS = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3Vectors::VectorBucket": "VectorBucketArn",
}
# They refer to resources that do not exist yet. The update that follows adds them.
_LATER = {"NotificationConfiguration"}


def import_kept(aws: "Account", plan: "Plan", *, yes: bool) -> bool:
    """Import the kept resources of a planned deployment, after confirmation; whether the stack has them now.

    Raises:
        OperatorError: AWS rejected the import, or it failed.
    """
    cloudformation, stack, template = aws.cloudformation, plan.stack, load(TEMPLATE)
    arguments = {
        "TemplateBody": to_json(import_template(template, plan.imported)),
        "ResourcesToImport": [_to_import(template, *one) for one in plan.imported.items()],
    }
    change_set, _ = changes.propose(cloudformation, stack, arguments, parameter_values(plan.previous), is_new=True)
    print(f"An earlier stack {stack} in {aws.region} of account {aws.id} kept these resources. They would be imported:")
    print("\n".join(f"  {name:<24} {value}" for name, value in plan.imported.items()))
    ask = partial(confirm, "Import them? Nothing of their contents is changed.", yes=yes)
    if not changes.is_accepted(cloudformation, stack, change_set, ask, is_new=True):
        return False
    status = changes.execute(cloudformation, stack, change_set)
    if status != "IMPORT_COMPLETE":
        raise OperatorError(f"the stack {stack} is {status}; the first line above with a reason shows the cause")
    return True


def import_template(template: Template, imported: Mapping[str, str]) -> Template:
    """The template with the imported resources only, as an import requires it.

    They have no condition, because they exist, and no import may delete them, also if it is rolled back.
    """
    resources: dict[str, Any] = {}
    for name in imported:
        properties = {
            key: value for key, value in template["Resources"][name]["Properties"].items() if key not in _LATER
        }
        policies = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        resources[name] = {"Type": template["Resources"][name]["Type"], **policies, "Properties": properties}
    kept = ("AWSTemplateFormatVersion", "Description", "Parameters", "Conditions")
    return {name: template[name] for name in kept} | {"Resources": resources}


def _to_import(template: Template, name: str, value: str) -> dict[str, Any]:
    kind = template["Resources"][name]["Type"]
    identifier = {_IDENTIFIERS[kind]: value}
    return {"ResourceType": kind, "LogicalResourceId": name, "ResourceIdentifier": identifier}
