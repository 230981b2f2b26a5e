"""MobileCLIP's modules without weights, from open_clip, and their reparameterisation, from timm."""

from collections.abc import Mapping
from typing import Any

import torch

from infra.onnx_export.packages import convert_state_dict, open_clip, reparameterize_model

# A tensor that only checkpoints with Apple's names have.
_APPLES = "image_encoder.model.patch_embed.0.rbr_conv.0.conv.weight"


def build(configuration: str) -> Any:  # noqa: ANN401 - a module of a package without types
    """Make open_clip's model of that name, before reparameterisation."""
    settings = open_clip.get_model_config(configuration)
    settings.pop("custom_text")  # selects the class, which is named below
    return open_clip.CustomTextCLIP(**settings)


def build_empty(configuration: str) -> Any:  # noqa: ANN401 - as above
    """Make the model without memory for its weights: the tensors have names and shapes only."""
    with torch.device("meta"):
        return build(configuration)


def with_open_clip_names(model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Rename a checkpoint's tensors from Apple's names to open_clip's; other checkpoints stay unchanged."""
    if _APPLES not in tensors:
        return dict(tensors)
    # The converter needs `logit_scale`, which belongs to neither tower.
    renamed: dict[str, Any] = convert_state_dict(model, {"logit_scale": torch.zeros(()), **tensors})
    return renamed


def reparameterised(module: Any) -> Any:  # noqa: ANN401 - as above
    """Make a copy for inference: the parallel branches of each block are merged into one convolution."""
    return reparameterize_model(module).eval()
