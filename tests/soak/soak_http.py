"""Many clients at once use the HTTP API of the local AWS: python -m tests.soak.soak_http [--clients 50] [--seconds 60]

Each client repeats searches, listings, thumbnails and jobs. Allowed are the expected answers, which are compared with
those of a single client before, and 429 and 503 where the function is at its limit. The memory of the function's
processes must not grow from the second third of the time to the last.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.bake.reuse import bundle_for
from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy
from tests.support.functions import unqualified
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

FOLDER = ROOT / "build" / "soak"
PICTURES = 12
BUSY = {429, 503}
MOST_GROWTH = 1.1
PROCESSES = 4  # of the function at once: the local AWS starts one for each further request


@dataclass
class Tally:
    """What the clients got.

    Attributes:
        statuses: how many answers of each status.
        wrong: answers that are neither expected nor a refusal for load.
        seconds: of each answer that was no refusal.
        megabytes: of the function's processes, by time.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


Step = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Work:
    """What the clients share.

    Attributes:
        steps: requests.
        expected: the body of each one's answer.
        tally: what the clients got.
        end: when they stop, on the monotonic clock.
    """

    steps: list[Step]
    expected: list[bytes]
    tally: Tally
    end: float


def main() -> int:
    """Run it; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with local_aws(FOLDER / "http.log") as aws:
        stack = deploy(aws, bundle_for("efficientnet-lite0"))
        stack.lambda_.put_function_concurrency(
            FunctionName=unqualified(stack.api), ReservedConcurrentExecutions=PROCESSES
        )
        sources = _fill(stack)
        tally = asyncio.run(_load(aws, stack, sources, given.clients, given.seconds))
    return _report(tally, given.clients, given.seconds)


def _headers(stack: Stack) -> dict[str, str]:
    return {"authorization": f"Bearer {stack.token}"}


def _fill(stack: Stack) -> list[str]:
    """Upload pictures and wait until they are found; returns their sources."""
    with httpx.Client(base_url=stack.api_url or "", headers=_headers(stack), timeout=60, trust_env=False) as api:
        files = [("file", (f"{seed}.png", encoded(picture(320, 240, seed=seed)))) for seed in range(PICTURES)]
        job = api.post("/jobs/clip_embedding", files=files).json()["job_id"]
        if not eventually(lambda: api.get(f"/jobs/{job}").json()["status"] == "ok", 120):
            raise TimeoutError(job)
        sources = [entry["file_path"] for entry in api.get(f"/jobs/{job}").json()["task_output"]["files"]]

        def all_found() -> bool:
            answers = [api.post("/search", json={"query": {"source": source}, "k": 50}) for source in sources]
            return all(len(answer.json().get("hits", ())) == PICTURES - 1 for answer in answers)

        if not eventually(all_found, 120):
            raise TimeoutError("not all are indexed")
    return sources


def _steps(sources: list[str]) -> list[Step]:
    """What each client does, again and again."""
    steps: list[Step] = [lambda api: api.get("/items"), lambda api: api.get("/health")]
    for source in sources:
        steps += [
            lambda api, source=source: api.post("/search", json={"query": {"source": source}, "k": 5}),  # type: ignore[misc]
            lambda api, source=source: api.get("/thumbnails", params={"source": source, "size": 160}),  # type: ignore[misc]
            lambda api, source=source: api.get("/items", params={"source": source}),  # type: ignore[misc]
        ]
    return steps


async def _load(aws: LocalAws, stack: Stack, sources: list[str], clients: int, seconds: float) -> Tally:
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=stack.api_url or "", headers=_headers(stack), timeout=120, trust_env=False, limits=limits
    ) as api:
        steps = _steps(sources)
        expected = [(await step(api)).content for step in steps]
        work = Work(steps, expected, Tally(), time.monotonic() + seconds)
        watch = asyncio.create_task(_watch_memory(aws, work.tally, work.end))
        await asyncio.gather(*(_client(api, number, work) for number in range(clients)))
        await watch
    return work.tally


async def _client(api: httpx.AsyncClient, number: int, work: Work) -> None:
    turn, tally = number, work.tally
    while time.monotonic() < work.end:
        started, place = time.monotonic(), turn % len(work.steps)
        answer = await work.steps[place](api)
        tally.statuses[answer.status_code] += 1
        if answer.status_code in BUSY:
            await asyncio.sleep(0.2)
            continue
        tally.seconds.append(time.monotonic() - started)
        if answer.status_code != 200 or answer.content != work.expected[place]:
            tally.wrong.append(f"{answer.request.url}: {answer.status_code} {answer.text[:200]}")
        turn += 1


async def _watch_memory(aws: LocalAws, tally: Tally, end: float) -> None:
    while time.monotonic() < end:
        tally.megabytes.append(_memory_of_api(aws.pid))
        await asyncio.sleep(1)


def _memory_of_api(group: int) -> float:
    """Resident megabytes of the largest process of the search function in a process group."""
    largest = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            process_group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            if process_group == group and b"handler.api.app.handler" in command:
                pages = int((folder / "statm").read_text().split()[1])
                largest = max(largest, pages * 4096 / 1e6)
        except (OSError, ValueError):
            continue  # it has ended
    return largest


def _report(tally: Tally, clients: int, seconds: float) -> int:
    third = len(tally.megabytes) // 3
    middle, last = (
        statistics.fmean(part or [0.0]) for part in (tally.megabytes[third:-third], tally.megabytes[-third:])
    )
    answered = sorted(tally.seconds)
    lines: dict[str, Any] = {
        "clients": clients,
        "seconds": seconds,
        "answers": dict(tally.statuses),
        "wrong": len(tally.wrong),
        "median_ms": round(statistics.median(answered) * 1000) if answered else None,
        "p99_ms": round(answered[len(answered) * 99 // 100] * 1000) if answered else None,
        "megabytes": [round(middle), round(last)],
    }
    sys.stdout.write("\n".join([*(f"{name}: {value}" for name, value in lines.items()), *tally.wrong[:5]]) + "\n")
    is_flat = last <= middle * MOST_GROWTH
    return 0 if answered and not tally.wrong and is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
