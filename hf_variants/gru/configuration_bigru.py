# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of bigru: a bidirectional GRU on words. The defaults are a published classifier of toxic comments."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_bigru import BiGRUModel

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@strict
class BiGRUConfig(PreTrainedConfig):
    """Configuration of a bidirectional GRU encoder (GRU: arXiv 1406.1078).

    With the defaults and `num_labels: 1` a classifier has 2 182 101 parameters: the embedding 40 000 x 50, for either
    direction 3 gates of 150 units with two biases each, and 300 weights and a bias for the one logit.

    Args:
        vocab_size: number of words, those for padding and for unknown words included.
        embedding_size: width of the word embeddings.
        hidden_size: units of each direction; what a layer returns is twice as wide.
        num_hidden_layers: number of layers, 1 or more; all but the first read what the one below returns.
        pooling: how a text's states become one vector of `2 * hidden_size`. "last" takes what either direction has
            when it has read everything, "max" and "mean" go over the text, "attention" is a weighted mean whose
            weights are learned (Yang et al., 2016, "Hierarchical Attention Networks for Document Classification").
        spatial_dropout: share of the embedding's channels that are dropped, each for a whole text (arXiv 1411.4280),
            in [0, 1).
        hidden_dropout_prob: dropout between layers, in [0, 1).
        classifier_dropout: dropout before the classifier, in [0, 1).
        initializer_range: the initial embeddings are uniform between plus and minus this.
        pad_token_id: id of the padding token, whose embedding is 0, or None.

    One logit for two classes is `num_labels: 1` with `problem_type: multi_label_classification`, as everywhere in
    transformers: binary cross-entropy, and a sigmoid in the pipeline. Without a `problem_type` it is a regression.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed; the message names the field,
            the value and what is allowed.
    """

    model_type = "bigru"
    # {Auto class: what follows the model's name in our class}; saved whole into every folder as `auto_map`.
    auto_classes = {"AutoModel": "Model", "AutoModelForSequenceClassification": "ForSequenceClassification"}

    vocab_size: int = 40000
    embedding_size: int = 50
    hidden_size: int = 150
    num_hidden_layers: int = 1
    pooling: Literal["last", "max", "mean", "attention"] = "last"
    spatial_dropout: float | int = 0.25
    hidden_dropout_prob: float | int = 0.0
    classifier_dropout: float | int = 0.0
    initializer_range: float | int = 0.05
    pad_token_id: int | None = 0

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

    def validate_direction(self) -> None:
        """Check that nobody asks for a model that reads one way. Run by huggingface_hub."""
        if getattr(self, "is_causal", False):
            raise ValueError("is_causal is True; allowed: False, this is an encoder that reads both ways")

    def validate_sizes(self) -> None:
        """Check every number against its range. Run by huggingface_hub after construction."""
        minima = dict.fromkeys(("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"), 1)
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {minimum} or more")
        if not 0 <= self.initializer_range < float("inf"):
            raise ValueError(f"initializer_range is {self.initializer_range}; allowed: 0 or more and finite")
        for name in ("spatial_dropout", "hidden_dropout_prob", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 or more and less than 1")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id is {self.pad_token_id}; allowed: None, or 0 to {self.vocab_size - 1}")


__all__ = ["BiGRUConfig"]
