"""Run a part that measures both sides inside one warm process on the measured core.

python -m tests.bench.worker PART SETTING WORLD OUT   (SETTING and WORLD are JSON, OUT is a file)
"""

import importlib
import json
import os
import sys
from pathlib import Path

from tests.bench.setting import Setting
from tests.bench.world import World


def main() -> None:
    """Run the part, and write its findings as JSON."""
    part, setting_text, world_text, out = sys.argv[1:]
    setting = Setting.from_json(setting_text)
    os.sched_setaffinity(0, {setting.core})
    measure = importlib.import_module(f"tests.bench.parts.{part}").measure
    found = measure(setting, World(**json.loads(world_text)))
    Path(out).write_text(json.dumps(found.fields()), "utf-8")


if __name__ == "__main__":
    main()
