"""A checkpoint file -> a tower with its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from infra.common.errors import OperatorError
from infra.onnx_export.architecture import build_empty, with_own_names
from infra.onnx_export.contract import Model, Tower

_TAKEN = "take Apple's .pt file of that model, or open_clip's .bin or .safetensors"


def load_tower(name: str, model: Model, tower: Tower, path: Path) -> Any:  # noqa: ANN401 - torch has no types here
    """Read a tower in its training-time form, for evaluation, in float32.

    Every tensor of the tower comes from the file, and every tensor that the file has for the tower is used.

    Raises:
        OperatorError: the file cannot be read, is not a checkpoint, or is one of something else.
    """
    tensors = _read(path)
    whole = build_empty(model.configuration)
    prefix = f"{tower.attribute}."
    named = with_own_names(whole, tensors)
    own = {key.removeprefix(prefix): tensor for key, tensor in named.items() if key.startswith(prefix)}
    module = getattr(whole, tower.attribute)
    misfit = _misfit(module.state_dict(), own)
    if misfit:
        raise OperatorError(f"{path} does not hold the {tower.name} tower of {name}: {misfit}; {_TAKEN}")
    module.load_state_dict(own, strict=True, assign=True)
    return module.eval()


def _read(path: Path) -> dict[str, Any]:
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise OperatorError(f"cannot read {path} ({error.strerror or error}); give --weights a checkpoint") from None
    except Exception as error:  # noqa: BLE001 - a damaged archive or pickle raises nearly anything
        reason = str(error).partition("\n")[0][:100] or type(error).__name__
        raise OperatorError(
            f"{path} is damaged, or not a checkpoint that loads without running its code ({reason}); {_TAKEN}"
        ) from None
    tensors = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise OperatorError(f"{path} holds something else than tensors by name; {_TAKEN}")
    # Training in parallel puts `module.` before every name; published files may be in float16.
    return {
        str(key).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
    }


def _misfit(expected: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Say in a phrase what does not fit, with one example of each kind; empty when all does."""
    shared = expected.keys() & given.keys()
    kinds = {
        "missing": expected.keys() - given.keys(),
        "not part of it": given.keys() - expected.keys(),
        "of another shape": {key for key in shared if expected[key].shape != given[key].shape},
        "not finite": {key for key in shared if not torch.isfinite(given[key]).all()},
    }
    return ", ".join(f"{len(keys)} tensors {kind} (as {min(keys)})" for kind, keys in kinds.items() if keys)
