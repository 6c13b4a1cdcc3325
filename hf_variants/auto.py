# Copyright 2026 The hf_variants authors. MIT licence.
"""The one table of all variants: model type -> configuration, and the model class for every Auto class.

Adding a variant is one row here. Which Auto classes a variant serves is said once, by its configuration
(`auto_classes`), which is also what writes the `auto_map` of a saved folder.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import transformers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from .bert import modeling_highway_bert, modeling_minbert, modeling_similarity_bert
from .bert.configuration_highway_bert import HighwayBertConfig
from .bert.configuration_minbert import MinBertConfig
from .bert.configuration_similarity_bert import SimilarityBertConfig
from .gpt import modeling_conv_gpt, modeling_nanogpt, modeling_progressive_gpt
from .gpt.configuration_conv_gpt import ConvGptConfig
from .gpt.configuration_nanogpt import NanoGptConfig
from .gpt.configuration_progressive_gpt import ProgressiveGptConfig
from .gru import modeling_bigru
from .gru.configuration_bigru import BiGRUConfig


@dataclass(frozen=True)
class Row:
    """One variant: its configuration class and the module that holds its models."""

    config_class: type[PreTrainedConfig]
    module: ModuleType

    @property
    def model_type(self) -> str:
        return self.config_class.model_type

    @property
    def auto_classes(self) -> dict[str, str]:
        """`{name of the Auto class: name of our class}`, the configuration included: the complete `auto_map`."""
        return {name: path.split(".")[-1] for name, path in self.config_class.full_auto_map().items()}

    @property
    def classes(self) -> dict[Any, type[PreTrainedModel]]:
        """`{Auto class: model class}`."""
        named = {name: ours for name, ours in self.auto_classes.items() if name != "AutoConfig"}
        return {getattr(transformers, name): getattr(self.module, ours) for name, ours in named.items()}


TABLE = (
    Row(MinBertConfig, modeling_minbert),
    Row(HighwayBertConfig, modeling_highway_bert),
    Row(SimilarityBertConfig, modeling_similarity_bert),
    Row(NanoGptConfig, modeling_nanogpt),
    Row(ConvGptConfig, modeling_conv_gpt),
    Row(ProgressiveGptConfig, modeling_progressive_gpt),
    Row(BiGRUConfig, modeling_bigru),
)


def register() -> None:
    """Register every row with the Auto classes. Calling it again changes nothing."""
    for row in TABLE:
        AutoConfig.register(row.model_type, row.config_class, exist_ok=True)
        # All of a row or none: with the configuration alone, a remote model would meet a local configuration.
        for auto_class, model_class in row.classes.items():
            auto_class.register(row.config_class, model_class, exist_ok=True)
