# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of progressive_gpt: nanogpt's, and how many distinct blocks its layers share."""

from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import strict

from .configuration_nanogpt import NanoGptConfig

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_progressive_gpt import ProgressiveGptModel


# trf-ignore: TRF023 (num_blocks is not the number of layers)
@strict
class ProgressiveGptConfig(NanoGptConfig):
    """Configuration of a GPT-2 decoder whose neighbouring layers may be applications of one block.

    Args:
        num_hidden_layers: how many blocks a token passes through.
        num_blocks: how many of them are distinct: layer i applies block `i * num_blocks // num_hidden_layers`. It
            must divide `num_hidden_layers`; None takes as many, which is nanogpt.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed.
    """

    model_type = "progressive_gpt"

    num_blocks: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.num_blocks is None:
            self.num_blocks = self.num_hidden_layers
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build a configuration; a checkpoint of nanogpt or GPT-2 has as many blocks as layers."""
        if config_dict.get("model_type") != "gpt2":  # GPT-2's names are translated first, by nanogpt
            config_dict = {**config_dict, "model_type": cls.model_type}
        return super().from_dict(config_dict, **kwargs)

    @property
    def layer_blocks(self) -> list[int]:
        """The block that each layer applies."""
        return [layer * self.num_blocks // self.num_hidden_layers for layer in range(self.num_hidden_layers)]

    def validate_blocks(self) -> None:
        """Check the number of blocks. Run by huggingface_hub after construction."""
        layers, blocks = self.num_hidden_layers, self.num_blocks
        if blocks != layers and not (1 <= blocks < layers and layers % blocks == 0):
            raise ValueError(f"num_blocks is {blocks}; allowed: a divisor of num_hidden_layers, which is {layers}")


__all__ = ["ProgressiveGptConfig"]
