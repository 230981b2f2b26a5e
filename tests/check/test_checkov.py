"""Every finding of checkov that `make check` accepts has an answer in docs/security.md."""

import json
import re
from pathlib import Path

from infra.common.paths import ROOT

ROW = re.compile(r"^\| `(CKV\w+)`: [^|]+ \| ([^|]+) \| [^|]{40,} \|$", re.MULTILINE)


def test_the_findings_are_answered_one_by_one() -> None:
    (accepted,) = json.loads(Path(__file__).with_name("checkov-baseline.json").read_text())["failed_checks"]
    findings = {
        (check, one["resource"].rpartition(".")[2]) for one in accepted["findings"] for check in one["check_ids"]
    }
    text = (ROOT / "docs" / "security.md").read_text()
    answered = {(check, name) for check, names in ROW.findall(text) for name in re.findall(r"`(\w+)`", names)}
    assert findings == answered
