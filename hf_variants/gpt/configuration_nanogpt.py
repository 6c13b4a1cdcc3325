# Copyright 2026 The hf_variants authors. MIT licence.
"""Configuration of nanogpt: GPT-2's sizes under the usual names; GPT-2's own names are understood on loading."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

if TYPE_CHECKING:
    # Never executed, but read: transformers tells folders of one name apart by the text of this file and of all it
    # imports. Without this line a model would run the code of a folder that was loaded before its own.
    from .modeling_nanogpt import NanoGptModel

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

GPT2_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "activation_function": "hidden_act",
    "layer_norm_epsilon": "layer_norm_eps",
}
# What a GPT-2 checkpoint may ask for, and nanogpt does not have: {field: the only value that is allowed}.
GPT2_FIXED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
}


@strict
class NanoGptConfig(PreTrainedConfig):
    """Configuration of a GPT-2 decoder (Radford et al., 2019). The defaults are the sizes of the smallest GPT-2.

    Args:
        vocab_size: number of tokens.
        hidden_size: width of the stream; `num_attention_heads` must divide it.
        num_hidden_layers: number of blocks, 0 or more.
        num_attention_heads: attention heads in each block.
        intermediate_size: width inside the feed-forward sublayer; None takes 4 * hidden_size.
        hidden_act: activation of the feed-forward sublayer.
        embd_pdrop: dropout after the embeddings, in [0, 1).
        resid_pdrop: dropout after each sublayer, in [0, 1).
        attn_pdrop: dropout on the attention weights, in [0, 1).
        max_position_embeddings: longest sequence.
        initializer_range: standard deviation of the initial weights; those that write to the stream have it divided
            by sqrt(2 * num_hidden_layers).
        layer_norm_eps: epsilon of every LayerNorm.
        pad_token_id: id of the padding token, or None.
        tie_word_embeddings: whether the head's matrix is the token embedding matrix.
        use_cache: whether a forward pass returns keys and values by default.

    Raises:
        ValueError, huggingface_hub.errors.StrictDataclassError: a value is not allowed; the message names the field,
            the value and what is allowed.
    """

    model_type = "nanogpt"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # the second from transformers 5.24 on
    # {Auto class: what follows the model's name in our class}; saved whole into every folder as `auto_map`.
    auto_classes = {
        "AutoModel": "Model",
        "AutoModelForCausalLM": "ForCausalLM",
        "AutoModelForSequenceClassification": "ForSequenceClassification",
    }

    vocab_size: int = 50257
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int | None = None
    hidden_act: str = "gelu_pytorch_tanh"
    embd_pdrop: float | int = 0.0
    resid_pdrop: float | int = 0.0
    attn_pdrop: float | int = 0.0
    max_position_embeddings: int = 1024
    initializer_range: float | int = 0.02
    layer_norm_eps: float | int = 1e-5
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True
    use_cache: bool = True

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
        """Build a configuration from a dictionary, GPT-2's names included, and overrides, which are validated too."""
        if config_dict.get("model_type") == "gpt2":
            config_dict = cls._from_gpt2(config_dict)
            kwargs = {GPT2_NAMES.get(name, name): value for name, value in kwargs.items()}
        # transformers would set the overrides after construction, when no `validate_*` runs any more.
        own = {field.name for field in fields(cls)} - {field.name for field in fields(PreTrainedConfig)}
        overrides = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
        return super().from_dict({**config_dict, **overrides}, **kwargs)

    @classmethod
    def _from_gpt2(cls, config_dict: dict[str, Any]) -> dict[str, Any]:
        for name, allowed in GPT2_FIXED.items():
            if config_dict.get(name, allowed) != allowed:
                raise ValueError(f"{name} is {config_dict[name]}; allowed: {allowed}, nanogpt has nothing else")
        renamed = {GPT2_NAMES.get(name, name): value for name, value in config_dict.items()}
        dropped = {name for name in renamed if name.startswith("summary_") or name in GPT2_FIXED}
        renamed = {name: value for name, value in renamed.items() if name not in dropped}
        if renamed.get("hidden_act", "gelu_new") == "gelu_new":
            renamed["hidden_act"] = "gelu_pytorch_tanh"  # the same function as one kernel
        return {**renamed, "model_type": cls.model_type}

    def validate_problem_type(self) -> None:
        """Check what the labels are, which transformers leaves to the first loss. Run by huggingface_hub."""
        if self.problem_type not in (None, *PROBLEM_TYPES):
            raise ValueError(f"problem_type is {self.problem_type!r}; allowed: None, {', '.join(PROBLEM_TYPES)}")

    def validate_sizes(self) -> None:
        """Check every number against its range. Run by huggingface_hub after construction."""
        minima = dict.fromkeys(("hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings"), 1)
        minima |= {"num_hidden_layers": 0}
        minima |= {"intermediate_size": 1} if self.intermediate_size is not None else {}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {minimum} or more")
        for name in ("embd_pdrop", "resid_pdrop", "attn_pdrop"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 or more and less than 1")
        if not 0 <= self.initializer_range < float("inf"):
            raise ValueError(f"initializer_range is {self.initializer_range}; allowed: 0 or more and finite")
        if not 0 < self.layer_norm_eps < float("inf"):
            raise ValueError(f"layer_norm_eps is {self.layer_norm_eps}; allowed: more than 0 and finite")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id is {self.pad_token_id}; allowed: None, or 0 to {self.vocab_size - 1}")

    def validate_architecture(self) -> None:
        """Check what has to fit together. Run by huggingface_hub after construction."""
        self.check_heads()
        if self.hidden_act not in ACT2FN:
            raise ValueError(f"hidden_act is {self.hidden_act!r}; allowed: {', '.join(sorted(ACT2FN))}")

    def check_heads(self) -> None:
        """Raise ValueError where the heads don't divide the width; a variant may have heads of its own."""
        if self.num_attention_heads < 1 or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads is {self.num_attention_heads}; allowed: a divisor of hidden_size, which is "
                f"{self.hidden_size}"
            )


__all__ = ["NanoGptConfig"]
