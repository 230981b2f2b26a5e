"""A checkpoint file -> a tower with its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from infra.common.errors import OperatorError, first_line
from infra.onnx_export.architecture import build_empty, with_open_clip_names
from infra.onnx_export.contract import Model, Tower

_ADVICE = "use Apple's .pt file of that model, or open_clip's .bin or .safetensors"


def load_tower(name: str, model: Model, tower: Tower, path: Path) -> Any:  # noqa: ANN401 - torch has no types here
    """Load a tower from a checkpoint, before reparameterisation, in evaluation mode and float32.

    The tensors of the file and those of the tower must be the same set.

    Raises:
        OperatorError: the file cannot be read, is not a checkpoint, or is a checkpoint of another model.
    """
    tensors = _read(path)
    empty = build_empty(model.configuration)
    prefix = f"{tower.attribute}."
    named = with_open_clip_names(empty, tensors)
    own = {key.removeprefix(prefix): tensor for key, tensor in named.items() if key.startswith(prefix)}
    module = getattr(empty, tower.attribute)
    mismatch = _mismatch(module.state_dict(), own)
    if mismatch:
        raise OperatorError(f"{path} does not contain the {tower.name} tower of {name}: {mismatch}; {_ADVICE}")
    module.load_state_dict(own, strict=True, assign=True)
    return module.eval()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise OperatorError(f"cannot read {path} ({error.strerror or error}); give --weights a checkpoint") from None
    except Exception as error:  # noqa: BLE001 - a damaged archive or pickle raises nearly any exception
        raise OperatorError(
            f"{path} is damaged, or is not a checkpoint that loads without executing code "
            f"({first_line(error, 100)}); {_ADVICE}"
        ) from None
    tensors = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise OperatorError(f"{path} does not contain a dict of tensors; {_ADVICE}")
    # Parallel training prefixes every name with `module.`; published files may be in float16.
    return {
        str(key).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
    }


def _mismatch(expected: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Describe how the tensors differ, with one example of each kind; empty if they do not."""
    shared = expected.keys() & given.keys()
    kinds = {
        "missing": expected.keys() - given.keys(),
        "unexpected": given.keys() - expected.keys(),
        "of another shape": {key for key in shared if expected[key].shape != given[key].shape},
        "not finite": {key for key in shared if not torch.isfinite(given[key]).all()},
    }
    return ", ".join(f"{len(keys)} tensors {kind} (such as {min(keys)})" for kind, keys in kinds.items() if keys)
