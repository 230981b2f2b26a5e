"""The machine that the benchmarks ran on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_bf16")
_PACKAGES = ("onnxruntime", "numpy", "pillow", "botocore", "boto3", "pydantic", "httpx")


def described() -> dict[str, str]:
    """Processor, flags, memory, versions and date."""
    cpu = _cpu()
    flags = cpu.get("flags", "").split()
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{cpu.get('model name', platform.machine())}, {os.cpu_count()} cores",
        "flags": ", ".join(flag for flag in _FLAGS if flag in flags) or "none of: " + ", ".join(_FLAGS),
        "memory": f"{gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}",
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def _cpu() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
