"""The operators of the benchmarked models in torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def _conv(x: torch.Tensor, weight: torch.Tensor, *bias: torch.Tensor, **how: Any) -> torch.Tensor:
    top, left, bottom, right = how.get("pads", (0, 0, 0, 0))
    padding: tuple[int, int] = (top, left)
    if (top, left) != (bottom, right):
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    strides, groups = tuple(how.get("strides", (1, 1))), how.get("group", 1)
    return functional.conv2d(x, weight, bias[0] if bias else None, strides, padding, 1, groups)


def _batch_norm(x: torch.Tensor, *parts: torch.Tensor, **how: Any) -> torch.Tensor:
    scale, bias, mean, variance = parts
    return functional.batch_norm(x, mean, variance, scale, bias, eps=how.get("epsilon", 1e-5))


def _slice(x: torch.Tensor, *parts: torch.Tensor, **_: Any) -> torch.Tensor:
    starts, ends, axes, *steps = (part.tolist() for part in parts)
    for number, (start, end, axis) in enumerate(zip(starts, ends, axes, strict=True)):
        places = [slice(None)] * x.ndim
        places[axis] = slice(start, min(end, x.shape[axis]), steps[0][number] if steps else None)
        x = x[tuple(places)]
    return x


def _reshape(x: torch.Tensor, shape: torch.Tensor, **_: Any) -> torch.Tensor:
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(shape.tolist())])


def _reduce_mean(x: torch.Tensor, *axes: torch.Tensor, **how: Any) -> torch.Tensor:
    return x.mean(dim=axes[0].tolist() if axes else how["axes"], keepdim=bool(how.get("keepdims", 1)))


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "Add": lambda a, b: a + b,
    "BatchNormalization": _batch_norm,
    "Clip": lambda x, low, high: x.clamp(low.item(), high.item()),
    "Conv": _conv,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Gelu": lambda x, approximate="none": functional.gelu(x, approximate=approximate),
    "GlobalAveragePool": lambda x: x.mean(dim=(2, 3), keepdim=True),
    "MatMul": lambda a, b: a @ b,
    "Mul": lambda a, b: a * b,
    "ReduceMean": _reduce_mean,
    "Relu": functional.relu,
    "Reshape": _reshape,
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Softmax": lambda x, axis=-1: x.softmax(axis),
    "Squeeze": lambda x, axes: x.squeeze(tuple(axes.tolist())),
    "Transpose": lambda x, perm: x.permute(perm),
}
