"""The models that can be exported, their towers, and the inputs and outputs of the ONNX files."""

from dataclasses import dataclass

# The first opset in which Gelu is one node; onnxruntime supports it since 1.17.
OPSET = 20

# Largest allowed difference from PyTorch, divided by the largest component of PyTorch's vectors. It is relative because
# vectors are compared by their direction.
TOLERANCE = 1e-4

IMAGE_SIZE = 256
CONTEXT_LENGTH = 77
EMBEDDING_DIM = 512


@dataclass(frozen=True)
class Tower:
    """The image or the text encoder: input [batch, ...], output float32 [batch, 512], not normalised."""

    name: str
    attribute: str  # its attribute of open_clip's model, and the prefix of its tensors' names
    input_name: str
    output_name: str


# float32 [batch, 3, 256, 256], 0 to 1
IMAGE = Tower("image", "visual", "pixel_values", "image_embeds")
# int64 [batch, 77]: start token, words, end token (the largest id), zeros
TEXT = Tower("text", "text", "input_ids", "text_embeds")
TOWERS = {tower.name: tower for tower in (IMAGE, TEXT)}


@dataclass(frozen=True)
class Model:
    """A model that can be exported."""

    configuration: str  # its name in open_clip
    towers: tuple[Tower, ...]


MODELS = {
    # MobileCLIP-S0 and MobileCLIP2-S0 have the same image architecture; open_clip has no text tower of the former.
    "mobileclip-s0": Model("MobileCLIP2-S0", (IMAGE,)),
    "mobileclip-s2": Model("MobileCLIP-S2", (IMAGE, TEXT)),
    "mobileclip2-s2": Model("MobileCLIP2-S2", (IMAGE, TEXT)),
}
