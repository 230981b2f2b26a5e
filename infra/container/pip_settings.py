"""pip's index settings on this machine, to pass on to a container build, which does not have them."""

import ast
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

# The settings that a build needs to reach the index.
_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


@dataclass(frozen=True)
class Settings:
    """Settings of pip.

    Attributes:
        kept: name to value, of the settings that a build needs.
        certificates: a file with trusted CA certificates; None for pip's default.
    """

    kept: dict[str, str] = field(default_factory=dict)
    certificates: Path | None = None

    def file(self, certificates: str) -> str:
        """The text of a `pip.conf`, with `certificates` as the path inside the build; empty without any settings."""
        kept = self.kept | ({"cert": certificates} if self.certificates else {})
        lines = [f"{name} = {value}" for name, value in sorted(kept.items())]
        return "\n".join(["[global]", *lines, ""]) if lines else ""


def pip_settings() -> Settings:
    """The settings of pip on this machine; empty if pip is not installed."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse(done.stdout) if done.returncode == 0 else Settings()


def parse(listed: str) -> Settings:
    """Parse the output of `pip config list`; environment variables take precedence over files."""
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
    """A value without `file:` URLs, which a build cannot access."""
    return " ".join(word for word in value.split() if not word.startswith("file:"))
