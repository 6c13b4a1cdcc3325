# Copyright 2026 The hf_variants authors. MIT licence.
"""similarity_bert: minbert whose attention compares queries and keys by another similarity than the dot product.

Notable:
- dot product, cosine, gaussian or euclidean, all defined in the configuration's file, each run fast by
  `attention_similarity_bert.py`;
- all but euclidean call transformers' attention on transformed queries and keys, and nothing is registered: masks,
  SDPA, Flash and Flex work as they do for minbert;
- at most one new parameter per head, the logarithm of its temperature or bandwidth;
- queries and keys may be one projection, or of another size than values;
- `attention_similarity: dot_product` with its defaults is minbert to the bit, and a BERT loads into all four.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .attention_similarity_bert import (
    EUCLIDEAN_ATTENTION,
    full_precision,
    in_full_precision,
    same_width,
    scaled,
    transform,
)
from .configuration_similarity_bert import SimilarityBertConfig
from .modeling_minbert import (
    MinBertForMaskedLM,
    MinBertForQuestionAnswering,
    MinBertForSequenceClassification,
    MinBertForTokenClassification,
    MinBertLayer,
    MinBertModel,
    MinBertPreTrainedModel,
    MinBertSelfAttention,
    eager_attention_forward,
)

# The similarities are what is compared; every branch is reached by the configurations in the tests.
# trf-ignore: TRF041 config.attention_similarity, config.tie_query_key


# The parameter that holds the logarithm of a learned temperature or bandwidth. Names differ, because the values of one
# similarity mean nothing to another: loaded into another, a scale starts afresh, and is reported as missing.
LEARNED_SCALES = {
    "dot_product": "log_temperature",
    "cosine": "log_cosine_temperature",
    "gaussian": "log_bandwidth",
    "euclidean": "log_euclidean_bandwidth",
}


class SimilarityBertSelfAttention(MinBertSelfAttention):
    """Multi-head attention by the configuration's similarity, without the output projection."""

    def __init__(self, config: SimilarityBertConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.similarity = config.attention_similarity
        self.query_key_size = config.query_key_width
        if config.query_key_size is not None:
            width = config.num_attention_heads * config.query_key_size
            self.query = nn.Linear(config.hidden_size, width)
            self.key = nn.Linear(config.hidden_size, width)
        if config.tie_query_key:
            self.key = None
        # A scale is what multiplies the similarity: a temperature, or this power of a bandwidth.
        self.power = {"gaussian": -2, "euclidean": -1}.get(self.similarity, 1)
        self.initial_scale = config.initial_scale
        self.learned = LEARNED_SCALES[self.similarity] if config.learns_temperature else None
        if self.learned is not None:
            self.register_parameter(self.learned, nn.Parameter(torch.zeros(config.num_attention_heads)))
        self.scaling = 1.0 if self.learned is not None else self.initial_scale**self.power

    def scale(self) -> torch.Tensor | None:
        """Return the learned scale of each head, `(heads, 1, 1)`, or None where `scaling` is all there is."""
        if self.learned is None:
            return None
        return (self.power * getattr(self, self.learned).float()).exp()[:, None, None]

    def project(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query = self.split_heads(self.query(hidden_states), self.query_key_size)
        if self.learned is not None and query.shape[1] != self.config.num_attention_heads:
            raise ValueError(
                f"this process has {query.shape[1]} of {self.config.num_attention_heads} heads, and their learned "
                "scales are not shared out; allowed with tensor parallelism: learn_temperature False"
            )
        key = query if self.key is None else self.split_heads(self.key(hidden_states), self.query_key_size)
        return query, key, self.split_heads(self.value(hidden_states), self.head_size)

    def transform(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return same_width(*transform(self.similarity, query, key, self.scale()), value)

    def finish(self, output: torch.Tensor) -> torch.Tensor:
        return output[..., : self.head_size]

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return `(batch, seq, hidden)` and, from eager attention only, the weights `(batch, heads, seq, seq)`.

        minbert's own, but where the stock attention can't be called from there: a distance is no product of queries
        and keys, and what half precision would spoil is computed in full.
        """
        if self.similarity == "euclidean":
            attend = self.attend_by_distance
        elif self.wants_full_precision(hidden_states):
            attend = self.attend_in_full_precision
        else:
            return super().forward(hidden_states, attention_mask, **kwargs)
        output, weights = attend(*self.project(hidden_states), attention_mask, **kwargs)
        return output.reshape(*hidden_states.shape[:-1], -1), weights

    def wants_full_precision(self, hidden_states: torch.Tensor) -> bool:
        """Return whether half precision would lose what the similarity tells apart.

        Rounded to bf16, vectors of length 1 cost several times the dot product's error, and a CPU loses no time in
        fp32. In fp16 half the square of a gaussian's key is too large for a number from a length of 362 on.
        """
        device = hidden_states.device.type
        if self.similarity == "cosine":
            return device == "cpu"
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_states.dtype
        return self.similarity == "gaussian" and torch.float16 in (hidden_states.dtype, autocast)

    def attend_in_full_precision(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend in fp32 or better from and to `(batch, heads, seq, any)`; return `(batch, seq, heads, head)`."""
        if isinstance(attention_mask, torch.Tensor) and attention_mask.is_floating_point():
            attention_mask = full_precision(attention_mask)  # SDPA takes no half mask beside fp32
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        kwargs |= {"dropout": self.dropout.p if self.training else 0.0, "scaling": self.scaling}

        def attend(*states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
            return attention_interface(self, *self.transform(*states), attention_mask, **kwargs)

        output, weights = in_full_precision(attend, query, key, value)
        return self.finish(output).to(value.dtype), None if weights is None else weights.to(value.dtype)

    def attend_by_distance(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend by the euclidean distance; the shapes are those of `attend_in_full_precision`."""
        scale = self.scale()
        if scale is not None:  # in full precision: a small bandwidth takes a long key out of fp16's range
            query, key = (scaled(full_precision(states), scale) for states in (query, key))
        attend = EUCLIDEAN_ATTENTION[self.config._attn_implementation]
        dropout = self.dropout.p if self.training else 0.0
        return attend(query, key, value, attention_mask, self.scaling, dropout=dropout, tied=self.key is None)


class SimilarityBertLayer(MinBertLayer):
    """minbert's layer with another similarity in its attention."""

    attention_class = SimilarityBertSelfAttention


# trf-ignore: TRF013 (the models that derive from this one call `post_init`)
class SimilarityBertPreTrainedModel(MinBertPreTrainedModel):
    """Adds the initialisation of temperatures and bandwidths."""

    config: SimilarityBertConfig
    _no_split_modules = ["MinBertEmbeddings", "SimilarityBertLayer"]
    _supports_attention_backend = False  # engines with an attention of their own know the dot product alone
    _can_record_outputs = {"hidden_states": SimilarityBertLayer, "attentions": SimilarityBertSelfAttention}

    def __init__(self, config: SimilarityBertConfig, *args, **kwargs):
        # Flash kernels have no distance, and their masks are not what the matrix form takes.
        if config.attention_similarity == "euclidean":
            self._supports_flash_attn = False
        super().__init__(config, *args, **kwargs)

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """Return the attention function to use; called by transformers when it is set, at the start or later.

        Raises:
            ValueError: it is none of transformers' own, and the similarity is the euclidean distance.
        """
        found = super().get_correct_attn_implementation(requested_attention, is_init_check)
        if self.config.attention_similarity == "euclidean" and found not in EUCLIDEAN_ATTENTION:
            raise ValueError(
                f"attn_implementation is {found!r}; allowed with attention_similarity 'euclidean': "
                f"{', '.join(EUCLIDEAN_ATTENTION)}, for a distance is no product of queries and keys"
            )
        return found

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SimilarityBertSelfAttention) and module.learned is not None:
            init.constant_(getattr(module, module.learned), math.log(module.initial_scale))


class SimilarityBertModel(SimilarityBertPreTrainedModel, MinBertModel):
    """The encoder, with a pooler on the first token if `add_pooling_layer`."""

    layer_class = SimilarityBertLayer


class SimilarityBertForMaskedLM(SimilarityBertPreTrainedModel, MinBertForMaskedLM):
    """The encoder with a head that predicts the token at each position."""

    model_class = SimilarityBertModel


class SimilarityBertForSequenceClassification(SimilarityBertPreTrainedModel, MinBertForSequenceClassification):
    """The encoder with a classifier (or a regression) on the pooled first token."""

    model_class = SimilarityBertModel


class SimilarityBertForTokenClassification(SimilarityBertPreTrainedModel, MinBertForTokenClassification):
    """The encoder with a classifier on every token."""

    model_class = SimilarityBertModel


class SimilarityBertForQuestionAnswering(SimilarityBertPreTrainedModel, MinBertForQuestionAnswering):
    """The encoder with a head that scores every token as start and as end of the answer."""

    model_class = SimilarityBertModel


# transformers copies the code of a saved model only if its class is registered here, after a remote load as well.
SimilarityBertConfig.register_for_auto_class()
SimilarityBertModel.register_for_auto_class("AutoModel")
SimilarityBertForMaskedLM.register_for_auto_class("AutoModelForMaskedLM")
SimilarityBertForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
SimilarityBertForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
SimilarityBertForQuestionAnswering.register_for_auto_class("AutoModelForQuestionAnswering")

__all__ = [
    "SimilarityBertForMaskedLM",
    "SimilarityBertForQuestionAnswering",
    "SimilarityBertForSequenceClassification",
    "SimilarityBertForTokenClassification",
    "SimilarityBertModel",
    "SimilarityBertPreTrainedModel",
]
