"""Write the image's software bill of materials (CycloneDX): python3 sbom.py PACKAGES BUNDLE PYPROJECT OUT.

It lists the Python packages, which cyclonedx-bom finds, and the model. It does not list the content of the base image.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

_VERSION = "1.6"


def main() -> None:
    """Write the bill of materials.

    Raises:
        ValueError: it does not match CycloneDX's schema.
    """
    packages, bundle, project, out = map(Path, sys.argv[1:])
    listed = packages_of(packages, project)
    spec = json.loads((bundle / "model.json").read_bytes())
    listed["components"].append(model_component(spec))
    text = json.dumps(listed, indent=1, sort_keys=True) + "\n"
    error = JsonStrictValidator(SchemaVersion.from_version(_VERSION)).validate_str(text)
    if error is not None:
        raise ValueError(f"the bill of materials is not valid CycloneDX {_VERSION}: {error}")
    out.write_text(text, "utf-8")
    sys.stdout.write(f"{out.name}: {len(listed['components'])} components\n")


def packages_of(folder: Path, project: Path) -> dict[str, Any]:
    """The packages in a folder. cyclonedx-bom queries an interpreter, so it gets one that sees this folder only."""
    with tempfile.TemporaryDirectory() as scratch:
        python = Path(scratch) / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} -S -s "$@"\n', "utf-8")
        python.chmod(0o755)
        options = ["--of", "JSON", "--sv", _VERSION, "--output-reproducible", "--pyproject", str(project)]
        command = [sys.executable, "-m", "cyclonedx_py", "environment", *options, str(python)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def model_component(spec: dict[str, Any]) -> dict[str, Any]:
    """The component for a bundle's model, given the content of its `model.json`."""
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{spec['name']}",
        "name": spec["name"],
        "version": spec.get("source_revision") or spec["fingerprint"],
        "hashes": [{"alg": "SHA-256", "content": spec["sha256"]}],
        "properties": [{"name": "dropvec:fingerprint", "value": spec["fingerprint"]}],
    }
    if licence := spec.get("licence"):
        component["licenses"] = [{"license": {"name" if licence.startswith("LicenseRef-") else "id": licence}}]
    if url := spec.get("source_url"):
        component["externalReferences"] = [{"type": "distribution", "url": url}]
    return component


if __name__ == "__main__":
    main()
