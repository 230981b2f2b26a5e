"""MobileCLIP with random weights, and its checkpoint with the tensor names of Apple's code."""

import re
from typing import Any

import torch

from infra.onnx_export.architecture import build

# Replacements for open_clip's names, in order. Apple's `network` numbers stages, downsampling and a position embedding.
IMAGE_NAMES = (
    (r"^visual\.trunk\.", "image_encoder.model."),
    (r"\.stem\.", ".patch_embed."),
    (r"\.stages\.0\.blocks\.", ".network.0."),
    (r"\.stages\.1\.downsample\.", ".network.1."),
    (r"\.stages\.1\.blocks\.", ".network.2."),
    (r"\.stages\.2\.downsample\.", ".network.3."),
    (r"\.stages\.2\.blocks\.", ".network.4."),
    (r"\.stages\.3\.downsample\.", ".network.5."),
    (r"\.stages\.3\.pos_emb\.pos_enc\.", ".network.6.pe."),
    (r"\.stages\.3\.blocks\.", ".network.7."),
    (r"\.conv_kxk\.", ".rbr_conv."),
    (r"\.conv_scale\.", ".rbr_scale."),
    (r"\.identity\.", ".rbr_skip."),
    (r"\.large_conv\.", ".lkb_origin."),
    (r"\.final_conv\.", ".conv_exp."),
    (r"\.mlp\.", ".convffn."),
    (r"\.conv_exp\.se\.fc1\.", ".conv_exp.se.reduce."),
    (r"\.conv_exp\.se\.fc2\.", ".conv_exp.se.expand."),
    (r"\.gamma$", ""),
    (r"\.head\.fc\.weight$", ".head.proj"),
)
TEXT_NAMES = (
    (r"^text\.", "text_encoder."),
    (r"\.text_projection$", ".projection_layer"),
    (r"\.token_embedding\.", ".embedding_layer."),
    (r"\.positional_embedding$", ".positional_embedding.pos_embed.pos_embed"),
    (r"\.ln_final\.", ".final_layer_norm."),
    (r"\.transformer\.resblocks\.", ".transformer."),
    (r"\.ln_1\.", ".pre_norm_mha.0."),
    (r"\.attn\.in_proj_", ".pre_norm_mha.1.qkv_proj."),
    (r"\.attn\.out_proj\.", ".pre_norm_mha.1.out_proj."),
    (r"\.ln_2\.", ".pre_norm_ffn.0."),
    (r"\.mlp\.c_fc\.", ".pre_norm_ffn.1."),
    (r"\.mlp\.c_proj\.", ".pre_norm_ffn.4."),
)


def random_model(configuration: str, seed: int = 0) -> Any:
    """open_clip's model before reparameterisation, with random weights for which every block affects the output."""
    model = build(configuration)
    random = torch.Generator().manual_seed(seed)
    model.load_state_dict({name: _random_like(name, tensor, random) for name, tensor in model.state_dict().items()})
    return model.eval()


def _random_like(name: str, tensor: Any, random: torch.Generator) -> Any:
    if not tensor.is_floating_point() or name.endswith("head.fc.bias"):  # Apple's projection has no bias
        return torch.zeros_like(tensor)
    values = torch.empty(tensor.shape)
    if name.endswith("gamma"):  # 1e-5 would disable the block; near 1 rounding errors would grow
        return values.uniform_(0.05, 0.25, generator=random)
    if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
        return values.uniform_(0.5, 1.5, generator=random)
    if tensor.ndim < 2:
        return values.normal_(0, 0.1, generator=random)
    return values.normal_(0, tensor[0].numel() ** -0.5, generator=random)


def apples_layout(model: Any) -> dict[str, Any]:
    """The model's tensors with the names and shapes of Apple's checkpoint."""
    renamed = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("head.fc.bias"):
            continue
        apples = name
        for pattern, replacement in TEXT_NAMES if name.startswith("text.") else IMAGE_NAMES:
            apples = re.sub(pattern, replacement, apples)
        if name.endswith("head.fc.weight"):
            renamed[apples] = tensor.T
        elif name == "text.positional_embedding":
            renamed[apples] = tensor[None, None]
        else:
            renamed[apples] = tensor
    return renamed
