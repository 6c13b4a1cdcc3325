# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of minbert: BERT's fields and defaults, and switches for the nets that lack one of its parts."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_minbert import MinBertModel

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@strict
class MinBertConfig(PreTrainedConfig):
    """Configuration of a BERT encoder (arXiv 1810.04805). The defaults are the sizes of bert-base-uncased.

    Args:
        vocab_size: number of tokens.
        hidden_size: width of the stream; `num_attention_heads` must divide it.
        num_hidden_layers: number of layers, 0 or more.
        num_attention_heads: attention heads in each layer.
        intermediate_size: width inside the feed-forward sublayer.
        hidden_act: activation of the feed-forward sublayer and of the masked-token head.
        hidden_dropout_prob: dropout after the embeddings and after each sublayer, in [0, 1).
        attention_probs_dropout_prob: dropout on the attention weights, in [0, 1).
        max_position_embeddings: longest sequence.
        type_vocab_size: number of segment types; 0 for none, `token_type_ids` are then ignored.
        initializer_range: standard deviation of the initial weights.
        layer_norm_eps: epsilon of every LayerNorm.
        pad_token_id: id of the padding token, or None.
        classifier_dropout: dropout before a classifier; None takes `hidden_dropout_prob`.
        tie_word_embeddings: whether the masked-token head's matrix is the word embedding matrix.
        norm_position: "post" normalises after each sublayer, as BERT does; "pre" normalises what a sublayer reads
            and adds one LayerNorm at the end (`encoder.LayerNorm`).
        embedding_norm: whether the sum of the embeddings is normalised.
        mlm_transform: whether the masked-token head has a hidden layer of its own before the decoder.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed; the message names the field,
            the value and what is allowed.
    """

    model_type = "minbert"
    # {Auto class: what follows the model's name in our class}; saved whole into every folder as `auto_map`.
    auto_classes = {
        "AutoModel": "Model",
        "AutoModelForMaskedLM": "ForMaskedLM",
        "AutoModelForSequenceClassification": "ForSequenceClassification",
        "AutoModelForTokenClassification": "ForTokenClassification",
        "AutoModelForQuestionAnswering": "ForQuestionAnswering",
    }

    # How `tp_plan="auto"` shares the layers out over processes; the heads are counted from a projection's width.
    base_model_tp_plan = {
        "encoder.layer.*.attention.self.query": "colwise",
        "encoder.layer.*.attention.self.key": "colwise",
        "encoder.layer.*.attention.self.value": "colwise",
        "encoder.layer.*.attention.output.dense": "rowwise",
        "encoder.layer.*.intermediate.dense": "colwise",
        "encoder.layer.*.output.dense": "rowwise",
    }

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float | int = 0.02
    layer_norm_eps: float | int = 1e-12
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    classifier_dropout: float | int | None = None
    tie_word_embeddings: bool = True
    norm_position: Literal["post", "pre"] = "post"
    embedding_norm: bool = True
    mlm_transform: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        labels = kwargs.get("num_labels", 2) if self.id2label is None else len(self.id2label)
        if not isinstance(labels, int) or isinstance(labels, bool) or labels < 1:
            raise ValueError(f"num_labels is {labels!r}; allowed: a whole number, 1 or more")
        super().__post_init__(**kwargs)
        # On the instance: transformers does not write a class attribute, and saving a model enters only its own class.
        self.auto_map = self.full_auto_map()

    @classmethod
    def full_auto_map(cls) -> dict[str, str]:
        """Return the `auto_map` with every Auto class, by the naming convention that all variants follow."""
        name = cls.__name__.removesuffix("Config")
        models = {auto: f"modeling_{cls.model_type}.{name}{role}" for auto, role in cls.auto_classes.items()}
        return {"AutoConfig": f"configuration_{cls.model_type}.{name}Config", **models}

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build a configuration from a dictionary and overrides, so that the overrides are validated as well."""
        # transformers would set the overrides after construction, when no `validate_*` runs any more.
        own = {field.name for field in fields(cls)} - {field.name for field in fields(PreTrainedConfig)}
        overrides = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
        return super().from_dict({**config_dict, **overrides}, **kwargs)

    def validate_problem_type(self) -> None:
        """Check what the labels are, which transformers leaves to the first loss. Run by huggingface_hub."""
        if self.problem_type not in (None, *PROBLEM_TYPES):
            raise ValueError(f"problem_type is {self.problem_type!r}; allowed: None, {', '.join(PROBLEM_TYPES)}")

    def validate_sizes(self) -> None:
        """Check every number against its range. Run by huggingface_hub after construction."""
        minima = dict.fromkeys(("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"), 1)
        minima |= {"max_position_embeddings": 1, "num_hidden_layers": 0, "type_vocab_size": 0}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {minimum} or more")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 or more and less than 1")
        if not 0 <= self.initializer_range < float("inf"):
            raise ValueError(f"initializer_range is {self.initializer_range}; allowed: 0 or more and finite")
        if not 0 < self.layer_norm_eps < float("inf"):
            raise ValueError(f"layer_norm_eps is {self.layer_norm_eps}; allowed: more than 0 and finite")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id is {self.pad_token_id}; allowed: None, or 0 to {self.vocab_size - 1}")

    def validate_architecture(self) -> None:
        """Check what has to fit together, and refuse what a BERT checkpoint may ask for and this encoder lacks."""
        if self.num_attention_heads < 1 or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads is {self.num_attention_heads}; allowed: a divisor of hidden_size, which is "
                f"{self.hidden_size}"
            )
        if self.hidden_act not in ACT2FN:
            raise ValueError(f"hidden_act is {self.hidden_act!r}; allowed: {', '.join(sorted(ACT2FN))}")
        if getattr(self, "is_decoder", False) or getattr(self, "add_cross_attention", False):
            raise ValueError("is_decoder or add_cross_attention is True; allowed: False, this is an encoder")
        if getattr(self, "is_causal", False):
            raise ValueError("is_causal is True; allowed: False, this is an encoder")
        position_type = getattr(self, "position_embedding_type", None) or "absolute"
        if position_type != "absolute":
            raise ValueError(f"position_embedding_type is {position_type!r}; allowed: 'absolute'")


__all__ = ["MinBertConfig"]
