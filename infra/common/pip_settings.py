"""pip's index settings on this machine, for programs that do not read them: uv, and a container build.

Standard library only: `infra.cli.environment` imports this before any package is installed.
"""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The settings that a container build needs to reach the index.
_REMOTE = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")

_UV_INDEXES = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"})


@dataclass(frozen=True)
class Settings:
    """Settings of pip.

    Attributes:
        values: name to value, such as `index-url`; several values are separated by white space.
        certificates: a file with trusted CA certificates; None for pip's default.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    certificates: Path | None = None

    def file(self, certificates: str) -> str:
        """The text of a `pip.conf` for a container build; empty without any settings.

        Args:
            certificates: the path of the CA certificates inside the build.
        """
        kept = {name: _remote(self.values[name]) for name in _REMOTE if _remote(self.values.get(name, ""))}
        kept |= {"cert": certificates} if self.certificates else {}
        lines = [f"{name} = {value}" for name, value in sorted(kept.items())]
        return "\n".join(["[global]", *lines, ""]) if lines else ""

    def uv_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An environment in which uv reads pip's indexes; variables of uv in `environment` take precedence.

        Settings are passed as variables because a URL may contain a password, and other users can see arguments.
        """
        named = {
            "UV_DEFAULT_INDEX": self.values.get("index-url", ""),
            "UV_INDEX": " ".join(self.values.get("extra-index-url", "").split()),
            "UV_FIND_LINKS": ",".join(self.values.get("find-links", "").split()),
            "UV_INSECURE_HOST": " ".join(self.values.get("trusted-host", "").split()),
            "UV_HTTP_TIMEOUT": self.values.get("timeout", self.values.get("default-timeout", "")),
            "SSL_CERT_FILE": str(self.certificates or ""),
            "HTTP_PROXY": self.values.get("proxy", ""),
            "HTTPS_PROXY": self.values.get("proxy", ""),
        }
        if named["UV_INDEX"]:  # pip takes the best version of all indexes, uv that of the first index that has any
            named["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if not _UV_INDEXES.isdisjoint(environment):
            named |= {"UV_DEFAULT_INDEX": "", "UV_INDEX": "", "UV_INDEX_STRATEGY": ""}
        return {name: value for name, value in named.items() if value} | dict(environment)

    def uv_options(self) -> list[str]:
        """Options of `uv pip install` for the settings that no variable of uv has."""
        return ["--no-index"] if self.values.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []


def pip_command() -> list[str] | None:
    """How to run pip: this Python's own, or that of the Python that its virtual environment was made with."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    base = base_python()
    done = subprocess.run([base, "-c", "import pip"], capture_output=True, check=False)
    return [base, "-m", "pip"] if done.returncode == 0 else None


def base_python() -> str:
    """The Python that made this virtual environment; outside of one, this Python."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def pip_settings() -> Settings:
    """The settings of pip on this machine; empty if pip is not installed."""
    pip = pip_command()
    if pip is None:
        return Settings()
    done = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    return parse(done.stdout) if done.returncode == 0 else Settings()


def parse(listed: str) -> Settings:
    """Parse the output of `pip config list`; environment variables take precedence over files."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in {"global", "install", "download", ":env:"}:
            found[key] = str(ast.literal_eval(value))
    certificates = Path(found["cert"]) if found.get("cert") else None
    return Settings(found, certificates if certificates and certificates.is_file() else None)


def _remote(value: str) -> str:
    """A value without `file:` URLs, which a build cannot access."""
    return " ".join(word for word in value.split() if not word.startswith("file:"))
