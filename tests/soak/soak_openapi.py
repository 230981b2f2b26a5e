"""Schemathesis sends requests that the OpenAPI document allows, and ones that it forbids, to the local AWS.

    python -m tests.soak.soak_openapi [--requests 10000]

Every answer must have a status, a content type and a body that the document describes, and none may be a 5xx. What the
document forbids must be refused. It runs in an environment of its own, because it pins other versions of the packages
of the tests.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from infra.bake.reuse import bundle_for
from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from infra.local.server import local_aws
from infra.local.stack import deploy
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

PROGRAM = ROOT / ".venv-schemathesis" / "bin" / "schemathesis"
FOLDER = ROOT / "build" / "soak"

# Not all that the document allows is taken: base64 that is no picture is 422, and words are 400 without a text tower.
# And every request has the token, also those from which Schemathesis believes to have left it out.
NOT_CHECKED = "positive_data_acceptance,missing_required_header"

_GENERATED = re.compile(r"([\d,]+) generated")
_OPERATIONS = 10


def main() -> int:
    """Run it; 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with local_aws(FOLDER / "openapi.log") as aws:
        stack = deploy(aws, bundle_for("efficientnet-lite0"))
        _fill(stack)
        total, seed = 0, given.seed
        while total < given.requests:
            count, has_failed = _run(given.program, stack, given.requests - total, seed)
            total, seed = total + count, seed + 1
            sys.stdout.write(f"{total} requests\n")
            if has_failed or not count:
                return 1
    sys.stdout.write(f"{total} requests, and every answer is as the document says\n")
    return 0


def _fill(stack: Stack) -> None:
    """Upload pictures, so that requests find some."""
    headers = {"authorization": f"Bearer {stack.token}"}
    with httpx.Client(base_url=stack.api_url or "", headers=headers, timeout=60, trust_env=False) as api:
        files = [("file", (f"{seed}.png", encoded(picture(90, 70, seed=seed)))) for seed in range(5)]
        job = api.post("/jobs/clip_embedding", files=files).json()["job_id"]
        if not eventually(lambda: api.get(f"/jobs/{job}").json()["status"] == "ok", 120):
            raise TimeoutError(job)


def _run(program: Path, stack: Stack, requests: int, seed: int) -> tuple[int, bool]:
    """One run; returns the number of requests, and whether a check failed."""
    examples = max(1, requests // _OPERATIONS)
    command = [
        *(str(program), "run", f"{stack.api_url}/openapi.json", "--url", str(stack.api_url)),
        *("--header", f"Authorization: Bearer {stack.token}", "--max-examples", str(examples)),
        *("--checks", "all", "--exclude-checks", NOT_CHECKED, "--continue-on-failure"),
        *("--seed", str(seed), "--no-color", "--suppress-health-check", "all"),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=FOLDER, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    found = _GENERATED.search(done.stdout)
    return int(found[1].replace(",", "")) if found else 0, done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
