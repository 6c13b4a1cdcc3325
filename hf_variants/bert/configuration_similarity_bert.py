# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of similarity_bert: what it adds to minbert's."""

from typing import TYPE_CHECKING, Any, Literal

from huggingface_hub.dataclasses import strict

from .configuration_minbert import MinBertConfig

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_similarity_bert import SimilarityBertModel


@strict
class SimilarityBertConfig(MinBertConfig):
    """Configuration of a BERT encoder whose attention compares queries and keys by another similarity.

    Attention weights are the softmax over the keys of a score; q and k are one head's query and key, of size d:

    - `dot_product`: tau q.k, with tau = 1 / sqrt(d) unless `temperature` says otherwise. This is minbert.
    - `cosine`: tau q.k / (|q| |k|), with tau = 10, as in Swin V2 (arXiv 2111.09883).
    - `gaussian`: -|q - k|^2 / (2 sigma^2), with sigma^2 = sqrt(d) unless `bandwidth` gives another sigma.
    - `euclidean`: -|q - k| / sigma, with sigma = sqrt(d).

    The other defaults are minbert's, the sizes of bert-base-uncased.

    Args:
        attention_similarity: one of the four.
        temperature: tau of dot_product and cosine, 1e-6 to 1e6; None for the values above.
        bandwidth: sigma of gaussian and euclidean, 1e-6 to 1e6; None for the values above.
        learn_temperature: whether every head learns its own tau or sigma, in log space, from that start on. None is
            True for cosine, whose scores are bounded by tau, and False for the others.
        tie_query_key: whether keys are the queries: there is then one projection for both.
        query_key_size: size of each head's queries and keys; None for that of its values, which is
            `hidden_size / num_attention_heads`.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed; the message names the field,
            the value and what is allowed.
    """

    model_type = "similarity_bert"

    attention_similarity: Literal["dot_product", "cosine", "euclidean", "gaussian"] = "dot_product"
    temperature: float | int | None = None
    bandwidth: float | int | None = None
    learn_temperature: bool | None = None
    tie_query_key: bool = False
    query_key_size: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.tie_query_key:  # there is no such projection to share out
            shared = self.base_model_tp_plan.items()
            self.base_model_tp_plan = {name: style for name, style in shared if not name.endswith(".self.key")}

    @property
    def compares_distances(self) -> bool:
        """Whether the similarity is a distance, which has a bandwidth, and not a product, which has a temperature."""
        return self.attention_similarity in ("gaussian", "euclidean")

    @property
    def learns_temperature(self) -> bool:
        """`learn_temperature`, or what it stands for."""
        return self.attention_similarity == "cosine" if self.learn_temperature is None else self.learn_temperature

    @property
    def query_key_width(self) -> int:
        """`query_key_size`, or what it stands for."""
        return self.query_key_size or self.hidden_size // self.num_attention_heads

    @property
    def initial_scale(self) -> float:
        """tau or sigma, as given or what None stands for."""
        given = self.bandwidth if self.compares_distances else self.temperature
        size = float(self.query_key_width)
        default = {"dot_product": size**-0.5, "cosine": 10.0, "gaussian": size**0.25, "euclidean": size**0.5}
        return default[self.attention_similarity] if given is None else float(given)

    def validate_similarity(self) -> None:
        """Check the fields of the similarity. Run by huggingface_hub after construction."""
        for name in ("temperature", "bandwidth"):
            value = getattr(self, name)
            if value is None:
                continue
            if not 1e-6 <= value <= 1e6:  # beyond, scores of usual sizes leave the range of float32
                raise ValueError(f"{name} is {value}; allowed: None, or 1e-6 to 1e6")
            if self.compares_distances != (name == "bandwidth"):
                other = "gaussian and euclidean" if name == "bandwidth" else "dot_product and cosine"
                raise ValueError(
                    f"{name} is {value} with attention_similarity {self.attention_similarity!r}; allowed: None, for "
                    f"it belongs to {other}"
                )
        if self.query_key_size is not None and self.query_key_size < 1:
            raise ValueError(f"query_key_size is {self.query_key_size}; allowed: None, or 1 or more")


__all__ = ["SimilarityBertConfig"]
