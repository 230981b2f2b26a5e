"""The KMS keys that a stack used before: what they encrypted must stay readable."""

from dataclasses import replace

from infra.deploy.plan import Plan


def with_earlier_keys(plan: Plan) -> Plan:
    """The plan with `EarlierKmsKeyArns`: the keys that the stack had before the planned one.

    A value that the user gives stays.
    """
    before, now = plan.previous.get("KmsKeyArn", ""), plan.wanted["KmsKeyArn"]
    if before == now or "EarlierKmsKeyArns" in plan.given:
        return plan
    known = plan.previous.get("EarlierKmsKeyArns", "").split(",")
    keys = [key for key in dict.fromkeys([*known, before]) if key and key != now]
    return replace(plan, given={**plan.given, "EarlierKmsKeyArns": ",".join(keys)})
