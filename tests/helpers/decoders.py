# Copyright 2026 The hf_variants authors. MIT licence.
"""What a causal decoder must not do, as functions that take any such model: look ahead, or forget with a cache."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from hf_variants.auto import Row
from tests.helpers.models import build, known, named_config, tiny_config

LENGTH = 3 * 64 + 7
# Three levels that each make one of four: 64 is the longest stretch that a variant of ours treats as one.
SIZES = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 4,
    "max_position_embeddings": 320,
    "num_levels": 3,
    "num_blocks": 2,
}
ROWS_AT_ONCE = 50  # so that attention weights of a causality check take no more than some 100 MB


def decoder(row: Row, dtype: torch.dtype = torch.float64, **overrides: Any) -> PreTrainedModel:
    """Return a small causal language model of a row; double precision tells rounding from errors."""
    config = tiny_config(row.model_type, **known(row.model_type, SIZES) | overrides)
    return build(row.classes[AutoModelForCausalLM], config).to(dtype)


def named_decoder(row: Row, name: str, dtype: torch.dtype = torch.float64, **overrides: Any) -> PreTrainedModel:
    """Return a causal language model of a row in one of its `CONFIGURATIONS`, with room for 96 tokens."""
    config = named_config(row.model_type, name, **{"max_position_embeddings": 96} | overrides)
    return build(row.classes[AutoModelForCausalLM], config).to(dtype)


def random_ids(model: torch.nn.Module, size: int, length: int, seed: int = 1) -> torch.Tensor:
    """Return ids `(size, length)` that are all in use."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (size, length), generator=generator)


def left_padding_mask(padding: Iterable[int], length: int) -> torch.Tensor:
    """Return the mask of rows that begin with so many padding tokens each, `(rows, length)`."""
    return (torch.arange(length) >= torch.tensor(list(padding))[:, None]).long()


# ---- looking ahead -------------------------------------------------------------------------------------------------


@torch.no_grad()
def assert_causal(model: torch.nn.Module, length: int = LENGTH, left_padding: int = 0) -> None:
    """Check that no logit depends on a later token, for every position of an input of `length` tokens.

    Each position is changed in a row of its own. With `left_padding` these rows begin after 0 to `left_padding`
    padding tokens, in random order. Before the change logits must be equal to the bit in double precision, and to
    1e-6 otherwise; at the change and after it they must not all be equal.
    """
    exact = next(model.parameters()).dtype == torch.float64
    generator = torch.Generator().manual_seed(2)
    for positions in torch.arange(length).split(ROWS_AT_ONCE):
        ids = random_ids(model, len(positions), length + left_padding, seed=int(positions[0]))
        rows, columns = torch.arange(len(positions)), torch.arange(length + left_padding)
        begins, given = torch.zeros_like(positions), {}
        if left_padding:
            begins = torch.randperm(left_padding + 1, generator=generator).repeat(ROWS_AT_ONCE)[: len(positions)]
            given = {"attention_mask": left_padding_mask(begins, length + left_padding)}
        changed = ids.clone()
        changed[rows, begins + positions] = (ids[rows, begins + positions] + 1) % model.config.vocab_size
        # as batches of one shape, so that nothing is rounded otherwise
        before, after = (model(input_ids=each, **given).logits for each in (ids, changed))
        difference = (after - before).abs().amax(dim=-1)
        changes = (begins + positions)[:, None]
        earlier = (columns >= begins[:, None]) & (columns < changes)
        _report_leaks(difference.masked_fill(~earlier, 0), begins, positions, 0.0 if exact else 1e-6)
        assert (difference[rows, changes[:, 0]] > 0).all(), "a token does not change its own logits"
        later = difference.masked_fill(columns <= changes, 0).amax(dim=-1) > 0
        # a net that only hands on what a group says has nothing to say after the last tokens
        assert (later | (changes[:, 0] > columns[-1] - 8)).all(), "a token changes no later logits"


def _report_leaks(difference: torch.Tensor, begins: torch.Tensor, positions: torch.Tensor, tolerance: float) -> None:
    leaks = (~(difference <= tolerance)).nonzero().tolist()  # NaN is no equality either
    if leaks:
        row, column = leaks[0]
        raise AssertionError(
            f"{len(leaks)} logits depend on a later token; the first: token {int(positions[row])} of a row with "
            f"{int(begins[row])} padding tokens changes logits {column - int(begins[row])} "
            f"by {float(difference[row, column]):.1e}"
        )


def train_on_noise(
    model: torch.nn.Module, steps: int, ahead: int = 1, batch_size: int = 8, length: int = LENGTH
) -> torch.Tensor:
    """Train on i.i.d. uniform tokens, fresh ones at each step, and say how far each loss lies above ln(vocabulary).

    Nothing predicts such tokens, so no loss on tokens not seen before is expected below ln V. The unit is the standard
    error of the step's mean loss, by its own tokens' losses: -5 or less is no chance. The last value, `(steps + 1,)`,
    is of eight times as many tokens after training.
    """
    torch.manual_seed(3)
    vocabulary = model.config.vocab_size
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    margins = []
    for step in range(steps + 1):
        ids = torch.randint(vocabulary, (batch_size * (8 if step == steps else 1), length))
        with torch.set_grad_enabled(step < steps):
            logits = model(input_ids=ids).logits[:, :-ahead]
            losses = cross_entropy(logits.flatten(0, 1), ids[:, ahead:].flatten(), reduction="none")
        standard_error = losses.detach().std() / math.sqrt(losses.numel())
        margins.append((losses.detach().mean() - math.log(vocabulary)) / standard_error)
        if step < steps:
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
    return torch.stack(margins)


class Leaky(torch.nn.Module):
    """A causal model made to look ahead, as a test of the tests.

    `reach` says where token t looks: "next" at token t + 1, "group" at the last token of its group of four, as a
    strided convolution does that is not shifted, "padded" at token t + 1 in rows with padding only.
    """

    def __init__(self, model: PreTrainedModel, reach: str):
        super().__init__()
        self.model, self.config, self.reach = model, model.config, reach
        self.leak = torch.nn.Embedding(model.config.vocab_size, model.config.vocab_size)
        torch.nn.init.normal_(self.leak.weight, std=0.02)
        self.leak.to(model.dtype)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> CausalLMOutput:
        """Return logits `(batch, seq, vocab)`."""
        columns = torch.arange(input_ids.shape[1])
        ahead = columns // 4 * 4 + 3 if self.reach == "group" else columns + 1
        leak = self.leak(input_ids[:, ahead.clamp(max=len(columns) - 1)])
        if self.reach == "padded":
            leak = 0 if attention_mask is None else leak * (attention_mask.amin(dim=1) == 0)[:, None, None]
        return CausalLMOutput(logits=self.model(input_ids, attention_mask, use_cache=False).logits + leak)


# ---- remembering ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def assert_cached_equals_full(
    model: PreTrainedModel, ids: torch.Tensor, chunks: Iterable[int], attention_mask: torch.Tensor | None = None
) -> None:
    """Check that ids `(batch, seq)` fed in chunks of so many tokens, with a cache, give the logits of one pass."""
    real = torch.ones_like(ids) if attention_mask is None else attention_mask
    given = {} if attention_mask is None else {"attention_mask": attention_mask}
    expected = model(ids, **given, use_cache=False).logits
    cache, logits, begin = None, [], 0
    for end in torch.tensor(list(chunks)).cumsum(0).tolist():
        given = {} if attention_mask is None else {"attention_mask": attention_mask[:, :end]}
        result = model(ids[:, begin:end], **given, past_key_values=cache, use_cache=True)
        cache, begin = result.past_key_values, end
        logits.append(result.logits)
    assert begin == ids.shape[1]
    actual = torch.cat(logits, dim=1)
    torch.testing.assert_close(actual[real.bool()], expected[real.bool()], atol=1e-9, rtol=1e-9)


def generate(model: PreTrainedModel, ids: torch.Tensor, **options: Any) -> Any:
    """Return everything that `generate` can tell about 6 new tokens, or as many as asked for."""
    defaults = {"max_new_tokens": 6, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    mask = {} if "attention_mask" in options else {"attention_mask": torch.ones_like(ids)}
    return model.generate(ids, **mask, **defaults | {"eos_token_id": None, "pad_token_id": 0} | options)


def assert_same_generation(
    model: PreTrainedModel, ids: torch.Tensor, cached: dict[str, Any] | None = None, **options: Any
) -> Any:
    """Check that tokens, logits and scores are the same with a cache and without; return those with.

    `cached` are options for the first alone, for instance a cache to go on from.
    """
    results = []
    for more in ({"use_cache": True, **(cached or {})}, {"use_cache": False}):
        torch.manual_seed(4)
        results.append(generate(model, ids, **options, **more))
    assert torch.equal(results[0].sequences, results[1].sequences)
    for actual, expected in zip(results[0].logits, results[1].logits, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)  # generate turns logits into float32
    if "sequences_scores" in results[0]:
        torch.testing.assert_close(results[0].sequences_scores, results[1].sequences_scores)
    return results[0]
