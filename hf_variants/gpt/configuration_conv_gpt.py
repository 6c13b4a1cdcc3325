# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of conv_gpt: what it adds to nanogpt's, and the published net's widths as defaults."""

from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import strict

from .configuration_nanogpt import GPT2_NAMES, NanoGptConfig

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_conv_gpt import ConvGptModel


@strict
class ConvGptConfig(NanoGptConfig):
    """Configuration of a decoder that attends at several levels, each coarser and wider than the one before.

    The defaults are the widths of a published net: 48 → 96 → 192 → 384 at 1, 1/4, 1/16 and 1/64 of the positions.
    A checkpoint of another type (a GPT-2, a nanogpt) has one level, unless `num_levels` is given as well.

    Args:
        hidden_size: width of the finest level; level i has `hidden_size * width_factor**i`.
        num_hidden_layers: number of blocks in all; None takes two per level, or the sum of `level_layers`.
        num_levels: how often the sequence is compressed; 0 is nanogpt.
        sequence_factor: how many positions of a level become one of the next.
        width_factor: how many times wider each next level is.
        level_layers: blocks at each of the `num_levels + 1` levels, 1 or more. Half of them run on the way down and
            half on the way up, the odd one on the way down; at the coarsest level there is no difference. None shares
            `num_hidden_layers` out evenly, what is left over goes to the coarse end.
        num_attention_heads: attention heads at every level, where `level_heads` does not say otherwise.
        level_heads: attention heads at each level, divisors of their widths; None takes `num_attention_heads` at all
            of them. Where there is one level, it is `num_attention_heads` that follows.
        local_window: at every level but the coarsest, a position attends to so many positions of its level, itself
            included; None for no limit.
        prediction_horizon: position t predicts token t + prediction_horizon. 1 is a language model. More is another
            task, with losses that compare only at the same horizon: so many tokens are predicted at once, none of
            them knowing the others (`generate_blocks`).

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed.
    """

    model_type = "conv_gpt"

    hidden_size: int = 48
    num_hidden_layers: int | None = None
    num_attention_heads: int = 6
    num_levels: int = 3
    sequence_factor: int = 4
    width_factor: int = 2
    level_layers: list[int] | None = None
    level_heads: list[int] | None = None
    local_window: int | None = None
    prediction_horizon: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        levels = max(self.num_levels, 0) + 1  # a negative number is refused by name below
        if self.level_layers is None:
            layers = 2 * levels if self.num_hidden_layers is None else self.num_hidden_layers
            self.level_layers = [layers // levels + (level >= levels - layers % levels) for level in range(levels)]
        if self.num_hidden_layers is None:
            self.num_hidden_layers = sum(self.level_layers)
        if self.level_heads is None:
            self.level_heads = [self.num_attention_heads] * levels
        elif self.num_levels == 0 and len(self.level_heads) == 1:  # a nanogpt, whose caches go by the number
            self.num_attention_heads = self.level_heads[0]
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build a configuration; a checkpoint of another type has one level and nanogpt's defaults instead of ours."""
        if config_dict.get("model_type") == "gpt2":
            config_dict = cls._from_gpt2(config_dict) | {"model_type": "gpt2"}
            kwargs = {GPT2_NAMES.get(name, name): value for name, value in kwargs.items()}
        if config_dict.get("model_type", cls.model_type) != cls.model_type:
            baseline = NanoGptConfig()
            structure = {name: getattr(baseline, name) for name in NanoGptConfig.__annotations__}
            if "num_levels" in kwargs:  # the blocks are then shared out over the levels
                structure.pop("num_hidden_layers")
            config_dict = {"num_levels": 0, **structure, **config_dict, "model_type": cls.model_type}
        return super().from_dict(config_dict, **kwargs)

    @property
    def level_sizes(self) -> list[int]:
        """Width of every level, finest first."""
        return [self.hidden_size * self.width_factor**level for level in range(self.num_levels + 1)]

    def validate_levels(self) -> None:
        """Check the levels. Run by huggingface_hub after construction."""
        minima = {"num_levels": 0, "sequence_factor": 2, "width_factor": 1, "prediction_horizon": 1}
        minima |= {"local_window": 1} if self.local_window is not None else {}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {minimum} or more")
        if self.num_levels and not getattr(self, "is_causal", True):
            raise ValueError(
                f"is_causal is {self.is_causal}; allowed: True where num_levels is {self.num_levels}, for "
                "convolutions stay causal"
            )
        if self.local_window is not None and self.num_levels == 0:
            raise ValueError("local_window is set and num_levels is 0; allowed: None, the only level is the coarsest")
        for name in ("level_layers", "level_heads"):
            if len(getattr(self, name)) != self.num_levels + 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; allowed: num_levels + 1 = {self.num_levels + 1} values"
                )
        self._validate_layers()
        self._validate_heads()

    def _validate_layers(self) -> None:
        if self.num_levels and min(self.level_layers) < 1:
            raise ValueError(f"level_layers is {self.level_layers}; allowed: 1 or more at each level")
        if sum(self.level_layers) != self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_layers is {self.num_hidden_layers}; allowed: the sum of level_layers, which is "
                f"{sum(self.level_layers)}"
            )

    def check_heads(self) -> None:
        """Check `num_attention_heads` where it is what every level has; see `validate_levels` for the others."""
        if self.num_attention_heads < 1 or set(self.level_heads) == {self.num_attention_heads}:
            super().check_heads()

    def _validate_heads(self) -> None:
        for level, (heads, size) in enumerate(zip(self.level_heads, self.level_sizes, strict=True)):
            if heads < 1 or size % heads:
                raise ValueError(
                    f"level_heads is {self.level_heads}; allowed at level {level}: a divisor of its width, {size}"
                )


__all__ = ["ConvGptConfig"]
