"""How pip reaches its index on this machine: for a build, which has none of the machine's settings."""

import ast
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

# Those that say where packages are; the others are the machine's own affair.
_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


@dataclass(frozen=True)
class Settings:
    """What pip is told.

    Attributes:
        kept: by name, what a build needs as well.
        certificates: the file of the authorities that are trusted; None is pip's own.
    """

    kept: dict[str, str] = field(default_factory=dict)
    certificates: Path | None = None

    def file(self, certificates: str) -> str:
        """A `pip.conf`, with the certificates where the build has them; empty when there is nothing to say."""
        kept = self.kept | ({"cert": certificates} if self.certificates else {})
        lines = [f"{name} = {value}" for name, value in sorted(kept.items())]
        return "\n".join(["[global]", *lines, ""]) if lines else ""


def pip_settings() -> Settings:
    """What pip is told here; nothing where it is not installed."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse(done.stdout) if done.returncode == 0 else Settings()


def parse(listed: str) -> Settings:
    """Read what `pip config list` prints; the environment's word counts more than a file's."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in {"global", "install", ":env:"}:
            found[key] = str(ast.literal_eval(value))
    kept = {key: _remote(found[key]) for key in _KEPT if _remote(found.get(key, ""))}
    certificates = Path(found["cert"]) if found.get("cert") else None
    return Settings(kept, certificates if certificates and certificates.is_file() else None)


def _remote(value: str) -> str:
    """Without what lies on this machine's disk, which a build does not see."""
    return " ".join(word for word in value.split() if not word.startswith("file:"))
