"""Run all graphs of a bundle on this CPU: python -m tests.cpus.guest BUNDLE.

Each graph runs in a process of its own, forked after all imports, because a graph for another CPU may crash it. The
emulated machine runs this module as its only program; see `tests.cpus.machine`.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handler.model.encoder import PORTABLE, Encoder, load_encoder, open_portable
from handler.model.prepared import open_session, prepared_options
from handler.model.self_check import check, cosine_of, embed_test_card
from handler.model.spec import load_spec

# The CPU flags that determine which code onnxruntime runs.
FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni")


def report(bundle: Path) -> dict[str, Any]:
    """Run the self-check and all graphs.

    Returns:
        `cpu` and `flags`; `check`: the result of `self_check`; and `graphs`: for the original model (`portable`) and
        for every prepared graph, the cosine of its vector and the original model's, or an error.
    """
    names = [PORTABLE, *(prepared.name for prepared in load_spec(bundle).prepared)]
    return {
        **_cpu(),
        "check": in_process("check", partial(self_check, bundle)),
        "graphs": {name: in_process(name, partial(_cosine, bundle, name)) for name in names},
    }


def self_check(bundle: Path) -> dict[str, Any]:
    """The answer to `{"check": true}` of the encoder that the function would load."""
    return check(load_encoder(bundle))


def in_process(name: str, measure: Callable[[], Any]) -> Any:
    """Call a function in a process of its own; returns its result (JSON), or a line of text if it raises or crashes."""
    sys.stderr.write(f"measuring: {name}\n")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = measure()
        except Exception as error:  # noqa: BLE001 - becomes the result, because this process must end here
            answer = f"{type(error).__name__}: {str(error)[:200]}"
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - not a path
        output = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(output) if output else f"a crash: exit code {os.waitstatus_to_exitcode(status)}"


def _cosine(bundle: Path, name: str) -> float:
    spec = load_spec(bundle)
    if name == PORTABLE:
        session = open_portable(bundle, spec)
    else:
        (prepared,) = (prepared for prepared in spec.prepared if prepared.name == name)
        session = open_session(bundle / prepared.graph.name, prepared_options(1))
    vector = embed_test_card(Encoder(bundle, spec, session, name))
    return round(cosine_of(vector, np.array(spec.canonical_vector, dtype=np.float32)), 9)


def _cpu() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {"cpu": facts["model name"], "flags": [flag for flag in FLAGS if flag in facts["flags"].split()]}


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(report(Path(sys.argv[1])))}\n")
