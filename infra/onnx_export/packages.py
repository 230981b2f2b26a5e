"""Imports open_clip and timm, also with a torchvision that does not match the installed torch."""

from importlib import import_module

import torch

# Operators whose schemas torchvision needs when it is imported, even if the operators are not loaded.
_OPERATORS = ("nms", "qnms")
_declared = torch.library.Library("torchvision", "FRAGMENT")


def _import_torchvision() -> None:
    """Import torchvision, which open_clip and timm require, also with a torch that it was not built for.

    The wheel on PyPI is for a CUDA build of torch. With a CPU build its operators do not load, and then its import
    fails because two of them are not declared (https://github.com/pytorch/vision/issues/9085). MobileCLIP uses neither,
    so declaring them is enough.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for operator in _OPERATORS:
            _declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_module("torchvision")


_import_torchvision()
open_clip = import_module("open_clip")
convert_state_dict = import_module("open_clip.convert").convert_state_dict
reparameterize_model = import_module("timm.utils").reparameterize_model
