"""Whether the account has the concurrency that a deployment would reserve."""

from collections.abc import Mapping

from infra.common.errors import CheckError
from infra.deploy.account import Account, needs
from infra.deploy.plan import Plan

# Lambda keeps so much of an account's concurrency unreserved; all of it if the account has less.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_UNRESERVED = 100


def check_concurrency(aws: Account, plan: Plan) -> None:
    """Check what the trigger `direct` and the HTTP API reserve together.

    Raises:
        CheckError: the parameters contradict each other, or the account does not have so much.
    """
    limit, backfill = int(plan.wanted["MaximumConcurrency"]), int(plan.wanted["BackfillConcurrency"])
    if plan.wanted["Trigger"] == "direct" and backfill > limit:
        raise CheckError(f"BackfillConcurrency={backfill} must not exceed MaximumConcurrency={limit}")
    wanted, reserved = _reservations(plan.wanted), sum(_reservations(plan.deployed).values())
    total = sum(wanted.values())
    if total <= reserved:
        return
    with needs("lambda:GetAccountSettings"):
        account = aws.lambda_.get_account_settings()["AccountLimit"]
    quota = account["ConcurrentExecutions"]
    kept = min(_UNRESERVED, quota)
    available = max(0, account["UnreservedConcurrentExecutions"] + reserved - kept)
    if total > available:
        named = " and ".join(f"{name}={value}" for name, value in wanted.items())
        verb = "reserves" if len(wanted) == 1 else "reserve"
        raise CheckError(
            f"{named} {verb} {total} of the account's concurrency, and Lambda lets this stack reserve {available} "
            f"(of {quota} in {aws.region}, {kept} must stay unreserved): lower it, use another trigger than direct and "
            "ApiConcurrency=0 to reserve none, or raise the quota in Service Quotas"
        )


def _reservations(parameters: Mapping[str, str]) -> dict[str, int]:
    """The parameters that reserve concurrency, with these values."""
    found: dict[str, int] = {}
    if parameters.get("Trigger") == "direct":
        found["MaximumConcurrency"] = int(parameters.get("MaximumConcurrency", "0"))
    if parameters.get("Search") == "true" and parameters.get("ApiConcurrency", "0") != "0":
        found["ApiConcurrency"] = int(parameters["ApiConcurrency"])
    return found
