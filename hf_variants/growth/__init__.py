# Copyright 2026 The hf_variants authors. MIT licence.
"""Growing a model while it trains: more distinct blocks, more layers, and LoRA stages between the growth steps.

Everything works in place, on our models and on any model of transformers whose layers are one `nn.ModuleList`, and
copies are real copies: a grown model saves, loads, caches and generates as one that was built at its size.
"""

from .conversion import to_gpt2, to_nanogpt
from .freezing import unfreeze
from .layers import find_layers, select_layers
from .lora_stages import in_lora_stage, merge_lora, save_adapter, save_stage, start_lora_stage
from .moments import load_optimizer_state_by_name, optimizer_state_by_name
from .operations import Growth, block_order, deepen, diverge, layer_order
from .scaling import copy_scales, fold_scale, set_scale

__all__ = [
    "Growth",
    "block_order",
    "copy_scales",
    "deepen",
    "diverge",
    "find_layers",
    "fold_scale",
    "in_lora_stage",
    "layer_order",
    "load_optimizer_state_by_name",
    "merge_lora",
    "optimizer_state_by_name",
    "save_adapter",
    "save_stage",
    "select_layers",
    "set_scale",
    "start_lora_stage",
    "to_gpt2",
    "to_nanogpt",
    "unfreeze",
]
