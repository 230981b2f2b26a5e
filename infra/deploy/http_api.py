"""The stack's HTTP API: what is checked before a deployment, and how to use it afterwards."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from infra.deploy.account import Account
    from infra.deploy.plan import Plan

# Lambda keeps so much of an account's concurrency unreserved.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_UNRESERVED = 100


def check_api(aws: "Account", plan: "Plan") -> None:
    """Check the parameters of the HTTP API.

    Raises:
        OperatorError: the stack would have no function for it, or cannot reserve the concurrency.
    """
    access = plan.wanted["Api"]
    if access != "none" and not plan.has_search:
        raise OperatorError(f"Api={access} needs the search function: deploy with Search=true, or with Api=none")
    limit = plan.wanted["ApiConcurrency"]
    if limit.isdecimal() and plan.has_search:  # CloudFormation rejects other values
        _check_concurrency(aws, int(limit), _reserved(plan))


def _reserved(plan: "Plan") -> int:
    """What the deployed stack reserves for the search function."""
    has_search = plan.current is not None and plan.deployed.get("Search") == "true"
    return int(plan.deployed.get("ApiConcurrency", "0")) if has_search else 0


def _check_concurrency(aws: "Account", limit: int, reserved: int) -> None:
    if limit <= reserved:
        return
    account = aws.lambda_.get_account_settings()["AccountLimit"]
    quota = account["ConcurrentExecutions"]
    kept = min(_UNRESERVED, quota)
    available = max(0, account["UnreservedConcurrentExecutions"] + reserved - kept)
    if limit > available:
        raise OperatorError(
            f"ApiConcurrency={limit} is more than Lambda lets this stack reserve: {available} (of {quota} in "
            f"{aws.region}, {kept} must stay unreserved); lower it, use 0 to reserve none, or raise the quota in "
            "Service Quotas"
        )


def print_access(outputs: Mapping[str, str], region: str) -> None:
    """Print how to get the token of the HTTP API, and how to open the gallery."""
    if secret := outputs.get("TokenSecretArn"):
        print(
            "\nRead the token of the HTTP API\n  aws secretsmanager get-secret-value "
            f"--region {region} --secret-id {secret} --query SecretString --output text"
            f"\n\nOpen the gallery, with that token after #\n  {outputs['ApiUrl']}#TOKEN"
        )
