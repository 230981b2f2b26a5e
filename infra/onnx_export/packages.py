"""open_clip and timm, importable beside whatever torchvision is installed."""

from importlib import import_module

import torch

# Operators that torchvision describes when it is imported, whether or not they have been loaded.
_DESCRIBED = ("nms", "qnms")
_declared = torch.library.Library("torchvision", "FRAGMENT")


def _import_torchvision() -> None:
    """Import torchvision, on which open_clip and timm insist, also beside a torch that it was not built for.

    The wheel on PyPI is for a CUDA build of torch. Beside a CPU build its operators do not load, and then its import
    fails over the names of two (https://github.com/pytorch/vision/issues/9085). MobileCLIP uses none of them, so that
    names are enough.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for operator in _DESCRIBED:
            _declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_module("torchvision")


_import_torchvision()
open_clip = import_module("open_clip")
convert_state_dict = import_module("open_clip.convert").convert_state_dict
reparameterize_model = import_module("timm.utils").reparameterize_model
