"""MobileCLIP's modules without weights, and its reparameterisation: all of it open_clip's and timm's."""

from collections.abc import Mapping
from typing import Any

import torch

from infra.onnx_export.packages import convert_state_dict, open_clip, reparameterize_model

# A tensor of each layout's own: Apple's image tower begins with it.
_APPLES = "image_encoder.model.patch_embed.0.rbr_conv.0.conv.weight"


def build(configuration: str) -> Any:  # noqa: ANN401 - a module of a package without types
    """Make open_clip's model of that name, in its training-time form."""
    settings = open_clip.get_model_config(configuration)
    settings.pop("custom_text")  # says which class it is
    return open_clip.CustomTextCLIP(**settings)


def build_empty(configuration: str) -> Any:  # noqa: ANN401 - as above
    """Make the same without values, which are about to be replaced: its tensors have names and shapes only."""
    with torch.device("meta"):
        return build(configuration)


def with_own_names(model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Give a checkpoint's tensors open_clip's names where they have Apple's; others stay as they are."""
    if _APPLES not in tensors:
        return dict(tensors)
    # The converter wants the scale, which belongs to no tower.
    renamed: dict[str, Any] = convert_state_dict(model, {"logit_scale": torch.zeros(()), **tensors})
    return renamed


def reparameterised(module: Any) -> Any:  # noqa: ANN401 - as above
    """Make a copy in the form for inference: each block's branches of the training time become one convolution."""
    return reparameterize_model(module).eval()
