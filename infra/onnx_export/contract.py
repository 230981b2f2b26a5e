"""What is exported: the models, their towers, and what the ONNX files promise. Imports nothing large."""

from dataclasses import dataclass

# Gelu is one node from this opset on. onnxruntime has known it since 1.17.
OPSET = 20

# Largest difference from PyTorch, as a part of the largest component of PyTorch's vectors: vectors are compared by
# their direction, so what counts is the error beside their own size, whatever that is.
TOLERANCE = 1e-4

IMAGE_SIZE = 256
CONTEXT_LENGTH = 77
EMBEDDING_DIM = 512


@dataclass(frozen=True)
class Tower:
    """One half of a model: [batch, ...] in, float32 [batch, 512] out, not normalised."""

    name: str
    attribute: str  # of open_clip's model, and the first part of its tensors' names
    input_name: str
    output_name: str


# float32 [batch, 3, 256, 256], 0 to 1
IMAGE = Tower("image", "visual", "pixel_values", "image_embeds")
# int64 [batch, 77]: start token, words, end token (the largest id there is), zeros
TEXT = Tower("text", "text", "input_ids", "text_embeds")
TOWERS = {tower.name: tower for tower in (IMAGE, TEXT)}


@dataclass(frozen=True)
class Model:
    """A model that can be exported."""

    configuration: str  # its name in open_clip
    towers: tuple[Tower, ...]


MODELS = {
    # open_clip has the image tower of the first S0 as that of its successor, and not its text tower.
    "mobileclip-s0": Model("MobileCLIP2-S0", (IMAGE,)),
    "mobileclip-s2": Model("MobileCLIP-S2", (IMAGE, TEXT)),
    "mobileclip2-s2": Model("MobileCLIP2-S2", (IMAGE, TEXT)),
}
