"""The stack's HTTP API: what is checked before a deployment, and how to use it afterwards."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.common.errors import CheckError

if TYPE_CHECKING:
    from infra.deploy.account import Account
    from infra.deploy.plan import Plan


def check_api(_: "Account", plan: "Plan") -> None:
    """Check that the stack has the function that the HTTP API needs.

    Raises:
        CheckError: it has not.
    """
    access = plan.wanted["Api"]
    if access != "none" and not plan.has_search:
        raise CheckError(f"Api={access} needs the search function: deploy with Search=true, or with Api=none")


def print_access(outputs: Mapping[str, str], region: str) -> None:
    """Print how to get the token of the HTTP API, and how to open the gallery."""
    if secret := outputs.get("TokenSecretArn"):
        print(
            "\nRead the token of the HTTP API\n  aws secretsmanager get-secret-value "
            f"--region {region} --secret-id {secret} --query SecretString --output text"
            f"\n\nOpen the gallery, with that token after #\n  {outputs['ApiUrl']}#TOKEN"
        )
