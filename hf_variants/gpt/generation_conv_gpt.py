# Copyright 2026 The hf_variants authors. MIT licence.
"""How a conv_gpt generates: token by token as far as levels allow, or whole blocks with a larger prediction horizon.

What transformers' `generate` offers and levels can't do is refused by name before anything is computed.
"""

from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.generation import GenerationMode

from .configuration_conv_gpt import ConvGptConfig
from .modeling_nanogpt import CACHE_NAME

# What these modes ask of a cache or of hidden states, and where there are levels they can't have.
REFUSED_MODES = {
    GenerationMode.ASSISTED_GENERATION: "assisted generation (assistant_model, prompt_lookup_num_tokens and the like) "
    "is not supported: it takes tokens back, and what a convolution has consumed can't be given back",
    GenerationMode.CONTRASTIVE_SEARCH: "contrastive search (penalty_alpha) is not supported: it takes tokens back",
    GenerationMode.DOLA_GENERATION: "dola_layers is not supported: levels have hidden states of several widths",
}


class ConvGptGenerationMixin:
    """What a conv_gpt changes of transformers' `GenerationMixin`, which comes after it."""

    config: ConvGptConfig
    transformer: nn.Module
    lm_head: nn.Linear

    def _validate_generation_mode(
        self, generation_mode: GenerationMode, generation_config: GenerationConfig, *args: Any, **kwargs: Any
    ) -> None:
        # Called by `generate` before anything else is done.
        asked = generation_mode
        if generation_config.prompt_lookup_num_tokens is not None:  # in beam search transformers would ignore it
            asked = GenerationMode.ASSISTED_GENERATION
        if self.config.num_levels and asked in REFUSED_MODES:
            raise NotImplementedError(
                f"{REFUSED_MODES[asked]}; allowed where num_levels is {self.config.num_levels}: greedy search, "
                "sampling and beam search"
            )
        super()._validate_generation_mode(generation_mode, generation_config, *args, **kwargs)

    def _prepare_cache_for_generation(
        self, generation_config: GenerationConfig, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        # Called by `generate`, which wants a cache before the first pass: it prefills in chunks with that.
        levels, wanted = self.config.num_levels, generation_config.cache_implementation
        if levels and wanted not in (None, "dynamic"):
            raise ValueError(
                f"cache_implementation is {wanted!r}; allowed where num_levels is {levels}: None or 'dynamic', for "
                "levels have a cache of their own"
            )
        if levels and generation_config.is_assistant:
            raise NotImplementedError(
                f"a model whose num_levels is {levels} can't be an assistant in assisted generation, which takes "
                "tokens back; allowed where num_levels is 0"
            )
        if levels and generation_config.use_cache is not False and model_kwargs.get(CACHE_NAME) is None:
            model_kwargs[CACHE_NAME] = self.transformer.new_cache()
        else:
            super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)

    def init_continuous_batching(self, *args: Any, **kwargs: Any) -> Any:
        """Return transformers' manager of continuous batching; `generate_batch` calls this as well.

        Raises:
            NotImplementedError: there are levels, and paged attention keeps one token per layer and position.
            ValueError: `prediction_horizon` is not 1.
        """
        self.check_horizon("continuous batching")
        if self.config.num_levels:
            raise NotImplementedError(
                f"continuous batching (generate_batch, paged attention) is not supported where num_levels is "
                f"{self.config.num_levels}; allowed: generate(), or num_levels 0"
            )
        return super().init_continuous_batching(*args, **kwargs)

    def check_horizon(self, what: str) -> None:
        """Raise ValueError where there is no next token to predict."""
        if self.config.prediction_horizon != 1:
            raise ValueError(
                f"prediction_horizon is {self.config.prediction_horizon}; allowed for {what}: 1; this model generates "
                "whole blocks, see generate_blocks()"
            )

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate token by token, as every causal model of transformers does.

        Raises:
            ValueError: `prediction_horizon` is not 1, or with levels another cache than their own is asked for.
            NotImplementedError: with levels, assisted generation, contrastive search or DoLa is asked for.
        """
        self.check_horizon("generate()")
        return super().generate(*args, **kwargs)

    @torch.no_grad()
    def generate_blocks(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        max_new_tokens: int = 64,
        do_sample: bool = False,
        temperature: float = 1.0,
    ) -> torch.LongTensor:
        """Append `max_new_tokens` tokens to `(batch, seq)`, `prediction_horizon` at a time.

        The tokens of one block are predicted at once and do not know each other.

        Raises:
            ValueError: a prompt is shorter than `prediction_horizon`: its first new token would have no input.
        """
        block, ids, cache = self.config.prediction_horizon, input_ids, None
        mask = torch.ones_like(ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        if ids.shape[1] == 0 or int(mask.sum(dim=1).min()) < block:
            raise ValueError(f"a prompt is shorter than prediction_horizon; allowed: {block} tokens or more")
        fed = ids
        for start in range(0, max_new_tokens, block):
            outputs = self.transformer(fed, mask, past_key_values=cache, use_cache=True, return_dict=True)
            cache, states = outputs[CACHE_NAME], outputs.last_hidden_state
            # each row's last real tokens, between which there may be padding
            last = mask[:, -fed.shape[1] :].to(states.device, torch.uint8).argsort(dim=1, stable=True)[:, -block:]
            scores = self.lm_head(states.gather(1, last[:, :, None].expand(-1, -1, states.shape[2]))) / temperature
            fed = (
                scores.softmax(-1).flatten(0, 1).multinomial(1).view(len(ids), -1) if do_sample else scores.argmax(-1)
            )
            fed = fed[:, : max_new_tokens - start]
            ids = torch.cat([ids, fed], dim=1)
            mask = torch.cat([mask, mask.new_ones(fed.shape)], dim=1)
        return ids


__all__ = ["ConvGptGenerationMixin"]
