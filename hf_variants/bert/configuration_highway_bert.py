# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of highway_bert: what it adds to minbert's, and the published net's sizes as defaults."""

from typing import TYPE_CHECKING, Any, Literal

from huggingface_hub.dataclasses import strict

from .configuration_minbert import MinBertConfig

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_highway_bert import HighwayBertModel


@strict
class HighwayBertConfig(MinBertConfig):
    """Configuration of a BERT encoder whose skip connections are gated (highway networks, arXiv 1505.00387).

    The defaults are those of a published comparison on characters: a pre-norm encoder of 8 layers of width 512.
    A checkpoint of another type (a BERT, a minbert) keeps its own structure instead, see `from_dict`.

    Args:
        skip_connection: "highway", or "residual", which is minbert.
        gate_type: one gate value per "feature" of a position, or a single one ("scalar") per position.
        gate_coupling: "coupled", the carry gate is 1 - T; "uncoupled", it has weights of its own, and both gates are
            2 * sigmoid, so that they are exactly 1 at zero.
        gate_input: the gate reads the "stream", or what its sublayer reads, "normed". With `norm_position: post` the
            two are the same.
        gate_bias: initial bias of the transform gate T. The gates' weights start at zero.
        gate_init: "bias" starts at `gate_bias`; "neutral" ignores it and starts as the residual net of the same
            weights, so that converting a pretrained model loses nothing.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed, or the gates asked for have
            no neutral setting.
    """

    model_type = "highway_bert"

    vocab_size: int = 66
    hidden_size: int = 512
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    max_position_embeddings: int = 128
    type_vocab_size: int = 0
    layer_norm_eps: float | int = 1e-5
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False
    norm_position: Literal["post", "pre"] = "pre"
    embedding_norm: bool = False
    mlm_transform: bool = False
    skip_connection: Literal["highway", "residual"] = "highway"
    gate_type: Literal["feature", "scalar"] = "feature"
    gate_coupling: Literal["coupled", "uncoupled"] = "coupled"
    gate_input: Literal["stream", "normed"] = "stream"
    # Negative, or the stream drains: at bias 0 a coupled gate keeps half of it, so eight layers, 16 sublayers, carry
    # 0.5^16 = 0.000015 of the input, and pre-norm nets have no way around the gates. At -2 they carry 0.13.
    gate_bias: float | int = -2.0
    gate_init: Literal["bias", "neutral"] = "bias"

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build a configuration; what a checkpoint of another type leaves out has BERT's defaults instead of ours."""
        if config_dict.get("model_type", cls.model_type) != cls.model_type:
            baseline = MinBertConfig()
            structure = {name: getattr(baseline, name) for name in MinBertConfig.__annotations__}
            config_dict = {**structure, **config_dict, "model_type": cls.model_type}
        return super().from_dict(config_dict, **kwargs)

    def validate_gates(self) -> None:
        """Check the bias, and that a neutral start exists. Run by huggingface_hub after construction."""
        if not -float("inf") < self.gate_bias < float("inf"):
            raise ValueError(f"gate_bias is {self.gate_bias}; allowed: any finite number")
        gated = self.skip_connection == "highway"
        if gated and self.gate_init == "neutral" and self.gate_coupling == "coupled" and self.norm_position == "pre":
            raise ValueError(
                "gate_init is 'neutral' with gate_coupling 'coupled' and norm_position 'pre'; allowed: gate_init "
                "'bias' or gate_coupling 'uncoupled', for (1 - T) * x + T * F(x) is x + F(x) only up to a factor, "
                "which no normalisation removes here"
            )


__all__ = ["HighwayBertConfig"]
