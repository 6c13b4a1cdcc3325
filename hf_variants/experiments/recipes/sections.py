# Copyright 2026 The hf_variants authors. MIT licence.
"""The sections of a recipe: what each field says, and what it may be."""

from dataclasses import dataclass
from typing import Literal

from ..checking import InputError, Range, about, check_range, check_types, non_defaults

LARGEST_VOCABULARY = 10_000_000  # the trainers set memory aside for all of it
LARGEST_BATCH = 1_000_000  # every process lists the blocks of a whole batch
LARGEST_SEED = 2**32 - 1  # of numpy's global generator
FROM_0, FROM_1, ABOVE_0, SHARE = Range(0), Range(1), Range(0, low_open=True), Range(0, 1)


@dataclass
class ModelArguments:
    """Which model is trained."""

    model_type: str | None = about("a registered model type: one of this package's or of transformers'")
    name_or_path: str | None = about(
        "instead of model_type: a Hub name, a folder with config.json (and its code), or package:NAME, an installed "
        "Python package with such a folder"
    )
    revision: str | None = about("commit, tag or branch of a Hub name")
    pretrained: bool = about(
        "start from the weights of name_or_path instead of new ones; with model_type: in a model of that type", False
    )
    keep_layers: list[int] = about("pretrained: only these of its layers, counted from 0 (default: all)", factory=list)
    word_vectors: str | None = about("text file of pretrained word vectors for the embedding (word2vec, GloVe)")
    overrides: dict | str = about("config fields to set, as a mapping or as a=1,b=two", factory=dict)
    attn_implementation: str | None = about("eager, sdpa, flex_attention, flash_attention_2 (default: the model's)")

    def __post_init__(self) -> None:
        check_types(self, "model")
        if self.pretrained and self.name_or_path is None:
            raise InputError("model.pretrained: needs model.name_or_path, where the weights are")
        if (self.model_type is None) == (self.name_or_path is None) and not self.pretrained:
            raise InputError("model: give exactly one of model_type and name_or_path (both with pretrained: true)")
        if self.word_vectors is not None and self.pretrained:
            raise InputError("model.word_vectors: are for a new model; model.pretrained has an embedding of its own")
        if self.keep_layers and not self.pretrained:
            raise InputError("model.keep_layers: chooses among pretrained layers; set model.pretrained: true")


@dataclass
class DataArguments:
    """Where the text comes from and how it is cut."""

    dataset: str = about("builtin/NAME, a folder or file, a URL, a folder of HF_VARIANTS_DATA, or a Hub name", "")
    dataset_config: str | None = about("configuration of a Hub data set")
    dataset_revision: str | None = about("commit, tag or branch of a Hub data set")
    sha256: str | None = about("expected digest of a file given by URL")
    text_column: str = about("column that holds the text", "text")
    split_fractions: list[float] = about(
        "train, validation and test shares where the source has no splits (by position in one text, seeded otherwise)",
        factory=lambda: [0.9, 0.05, 0.05],
        allowed=SHARE,
    )
    join_splits: bool = about("join the source's own splits in order first, then cut by split_fractions", False)
    data_fraction: float = about(
        "share of the train split that is used, from its beginning", 1.0, allowed=Range(0, 1, low_open=True)
    )
    streaming: bool = about(
        "language modelling: read train as it is trained on, shard by shard, instead of all of it into memory before",
        False,
    )
    shuffle_buffer: int = about(
        "streaming: blocks that are held and shuffled together (then shards are read in a new order in every epoch); "
        "0: blocks in the order of the documents",
        10_000,
        allowed=FROM_0,
    )
    held_out_documents: int = about(
        "streaming a source without a validation split: so many documents from its beginning are validation, and as "
        "many after them test, where it has none",
        1000,
        allowed=FROM_1,
    )
    sample_characters: int = about(
        "streaming: a tokenizer is trained on so many characters, the beginnings of shards", 20_000_000, allowed=FROM_1
    )
    workers: int = about(
        "streaming: processes that read and tokenize beside each one that trains; 0: none", 1, allowed=FROM_0
    )
    block_size: int = about(
        "tokens per block; text_classification: of the longest example, the rest is cut off", 128, allowed=Range(2)
    )
    random_phase: bool = about("shift the cuts between blocks by a random amount in every epoch", True)
    max_eval_blocks: int | None = about(
        "use at most so many blocks (or examples) of validation and of test", allowed=FROM_1
    )
    spread_eval_blocks: bool = about(
        "take these at even distances, since texts may be sorted; false, or with eval_stride or streaming: the first",
        True,
    )
    eval_stride: int | None = about(
        "causal_lm: evaluate with windows of block_size that advance by so many tokens, each scored once with all the "
        "context its window has; null: disjoint blocks",
        allowed=FROM_1,
    )
    question_column: str | None = about("column of questions: each row becomes a text, instead of text_column")
    answer_column: str | None = about("column of the answers to question_column")
    license: str | None = about("licence of the data, for the card")
    language: str = about("language code of the text, for the card", "en")

    def __post_init__(self) -> None:
        check_types(self, "data")
        if not self.dataset:
            raise InputError("data.dataset: is missing; give builtin/pydoc, a path, a URL or a Hub name")
        if len(self.split_fractions) != 3 or sum(self.split_fractions) > 1.0001:
            raise InputError(
                f"data.split_fractions: {self.split_fractions}; allowed are three shares that sum to 1 or less"
            )
        self._check_streaming()
        if self.eval_stride is not None:
            check_range("data.eval_stride", self.eval_stride, low=1, high=self.block_size - 1)
        if (self.question_column is None) != (self.answer_column is None):
            raise InputError("data: give both question_column and answer_column, or neither")

    def _check_streaming(self) -> None:
        for name, default in (("join_splits", False), ("data_fraction", 1.0)):
            if self.streaming and getattr(self, name) != default:
                raise InputError(f"data.{name}: needs to read all of the text before; not with data.streaming")


TEXT_FIELDS = (  # of DataArguments: those that decide which text there is
    *("dataset", "dataset_config", "dataset_revision", "sha256", "text_column", "question_column", "answer_column"),
    *("split_fractions", "join_splits", "data_fraction"),
    *("streaming", "held_out_documents", "sample_characters"),
)


@dataclass
class TokenizerArguments:
    """One tokenizer for all splits: trained on the train split, or an existing one."""

    tokenizer: str = about(
        "character, words, wordpiece, bpe, unigram, or an existing tokenizer: a folder, a folder of "
        "HF_VARIANTS_DATA, package:NAME, or a Hub name",
        "character",
    )
    vocab_size: int = about(
        "most tokens of a trained tokenizer, special ones included", 8192, allowed=Range(1, LARGEST_VOCABULARY)
    )
    lowercase: bool = about("lower-case the text (wordpiece, unigram, words)", True)
    clean: list[str] = about("text cleaning that the tokenizer does first: steps of text/cleaning.py", factory=list)
    special_tokens: list[str] = about(
        "special tokens of a trained tokenizer (left at the default, bpe has <|endoftext|> alone)",
        factory=lambda: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    )

    def __post_init__(self) -> None:
        check_types(self, "tokenizer")
        least = 257 if self.tokenizer == "bpe" else len(self.special_tokens) + 1
        check_range("tokenizer.vocab_size", self.vocab_size, low=least, high=LARGEST_VOCABULARY)


@dataclass
class ObjectiveArguments:
    """What is learned. `objective` may be a class of one's own: `path/to/file.py:ClassName`."""

    objective: str = about("masked_lm, causal_lm, text_classification, or path/to/file.py:ClassName", "masked_lm")
    mask_probability: float = about("share of tokens to predict", 0.15, allowed=Range(0, 1, low_open=True))
    mask_replace: float = about("of those, the share replaced by the mask token", 0.8, allowed=SHARE)
    random_replace: float = about("of those, the share replaced by a random token", 0.1, allowed=SHARE)
    eval_seed: int = about(
        "seed of the evaluation masks and samples, the same for all arms and seeds", 20260101, allowed=FROM_0
    )
    cross_document_attention: bool = about("causal_lm: packed documents see those before them in the block", True)
    answer_questions: int = about(
        "causal_lm: answer so many test questions after training (data with answers)", 200, allowed=FROM_0
    )
    samples: int = about(
        "causal_lm: so many texts sampled after training, at least one per prompt; 0: none", 3, allowed=FROM_0
    )
    sample_tokens: int = about("tokens of a sampled text", 200, allowed=FROM_1)
    sample_temperature: float = about("temperature of the samples; 0: the most probable token", 0.8, allowed=FROM_0)
    sample_prompts: list[str] = about("beginnings of the samples (default: that of a document)", factory=list)
    class_weights: Literal["none", "balanced"] = about(
        "text_classification: weigh examples by the inverse share of their class, in training", "none"
    )
    selection_metric: str | None = about(
        "text_classification: what models are chosen by on validation (default: average precision of a binary task, "
        "accuracy of classes, macro average precision of labels, loss of a regression)"
    )
    label_smoothing: float = about(
        "text_classification: share of the target spread over all classes", 0.0, allowed=Range(0, 0.999)
    )
    bootstrap_samples: int = about(
        "text_classification: resamples of test examples for confidence intervals", 1000, allowed=FROM_0
    )

    def __post_init__(self) -> None:
        check_types(self, "objective")
        check_range("objective.random_replace", self.random_replace, low=0, high=1 - self.mask_replace + 1e-9)


BUDGETS = ("max_tokens", "max_steps", "max_seconds", "max_epochs")


@dataclass
class TrainingArguments:
    """Budget, optimizer, schedule and bookkeeping."""

    seed: int = about("seed of initialisation, data order, masks and dropout", 0, allowed=Range(0, LARGEST_SEED))
    batch_size: int = about(
        "blocks (or examples) per optimizer step, over all processes and micro-batches",
        64,
        allowed=Range(1, LARGEST_BATCH),
    )
    gradient_accumulation_steps: int = about("micro-batches per optimizer step", 1, allowed=FROM_1)
    max_tokens: int | None = about("budget in training tokens", allowed=ABOVE_0)
    max_steps: int | None = about("budget in optimizer steps", allowed=ABOVE_0)
    max_seconds: float | None = about("budget in seconds of training (not reproducible bit for bit)", allowed=ABOVE_0)
    max_epochs: float | None = about("budget in passes over the training data", allowed=ABOVE_0)
    budgets: list[float] = about(
        "shares of the budget that get a decay branch and an evaluation",
        factory=lambda: [1.0],
        allowed=Range(0, 1, low_open=True),
    )
    schedule: Literal["constant_with_decay", "linear", "cosine"] = about("learning rate", "constant_with_decay")
    decay_fraction: float = about(
        "share of each compared budget spent on decay (constant_with_decay)", 0.2, allowed=SHARE
    )
    warmup_steps: int = about("steps of linear warm-up", 100, allowed=FROM_0)
    optimizer: Literal["adamw", "muon"] = about(
        "what updates the weights: AdamW; or Muon the matrices of linear maps in layers, and AdamW all else", "adamw"
    )
    learning_rate: float = about("peak learning rate of AdamW", 1e-3, allowed=ABOVE_0)
    min_learning_rate: float = about("where the decay ends", 0.0, allowed=FROM_0)
    muon_learning_rate: float | None = about(
        "muon: its peak learning rate (default: learning_rate, for its updates are scaled to the size of AdamW's); it "
        "rises and falls as learning_rate does, to the same share at the end",
        allowed=ABOVE_0,
    )
    muon_momentum: float = about("muon: its momentum, Nesterov's", 0.95, allowed=Range(0, 1, high_open=True))
    weight_decay: float = about("decoupled weight decay of AdamW and Muon", 0.01, allowed=FROM_0)
    weight_decay_scope: Literal["matrices", "linear"] = about(
        "decay all matrices, or those of linear maps only: no embeddings, tied ones neither", "matrices"
    )
    adam_beta1: float = about("AdamW's first beta", 0.9, allowed=Range(0, 1, high_open=True))
    adam_beta2: float = about("AdamW's second beta", 0.95, allowed=Range(0, 1, high_open=True))
    adam_epsilon: float = about("AdamW's epsilon", 1e-8, allowed=FROM_0)
    max_grad_norm: float | None = about("clip the gradient's norm before the step; null: never", 1.0, allowed=ABOVE_0)
    mixed_precision: Literal["no", "bf16", "fp16"] = about("autocast", "no")
    torch_compile: bool = about("compile the model with inductor (dropout then draws other numbers)", False)
    gradient_checkpointing: bool = about("recompute activations in the backward pass", False)
    eval_batch_size: int = about("blocks per evaluation batch", 64, allowed=FROM_1)
    eval_every: int = about("optimizer steps between evaluations on validation", 200, allowed=FROM_1)
    log_every: int = about("optimizer steps between records of the training loss", 50, allowed=FROM_1)
    checkpoint_every: int = about("optimizer steps between checkpoints; 0: only at branch points", 500, allowed=FROM_0)
    keep_checkpoints: int = about("how many checkpoints are kept", 2, allowed=FROM_1)
    snapshot_every: int = about(
        "optimizer steps between model snapshots for analyze_depth.py; 0: none", 0, allowed=FROM_0
    )
    log_layer_gradients: bool = about("record the gradient norm of every layer with the training loss", False)
    train: Literal["full", "frozen", "lora", "gradual"] = about(
        "text_classification: what trains beside the head: all; nothing, and the encoder's features are computed "
        "once; adapters of its linear maps; or its layers one after the other from the last to the first",
        "full",
    )
    lora_rank: int = about("lora: rank of the adapters", 8, allowed=FROM_1)
    lora_alpha: int = about("lora: their output is multiplied by lora_alpha / lora_rank", 16, allowed=FROM_1)
    early_stopping: int | None = about(
        "stop after so many evaluations in a row without improvement on validation; the best model is what counts",
        allowed=FROM_1,
    )
    trackers: list[str] = about("tensorboard, trackio, wandb: also log there, through Accelerate", factory=list)

    def __post_init__(self) -> None:
        check_types(self, "training")
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(f"training: give exactly one of {', '.join(BUDGETS)} (found: {given or 'none'})")
        if self.batch_size % self.gradient_accumulation_steps:
            raise InputError(
                f"training.gradient_accumulation_steps: {self.gradient_accumulation_steps} does not divide "
                f"batch_size {self.batch_size}"
            )
        self._check_budgets()
        self._check_optimizer()

    def _check_optimizer(self) -> None:
        if self.optimizer == "muon" and self.train in ("frozen", "lora"):
            raise InputError(
                f"training.optimizer: muon is for matrices of layers, and with training.train {self.train} none of "
                "them trains; allowed: adamw, or train full or gradual"
            )
        for name in ("muon_learning_rate", "muon_momentum"):
            if self.optimizer != "muon" and name in non_defaults(self):
                raise InputError(f"training.{name}: has no effect on {self.optimizer}; allowed with optimizer: muon")

    def _check_budgets(self) -> None:
        marks = self.budgets
        if not marks or sorted(set(marks)) != list(marks) or marks[-1] != 1:
            raise InputError(f"training.budgets: {marks}; allowed are rising shares in (0, 1] that end with 1")
        if self.early_stopping is not None and (len(marks) > 1 or self.schedule == "constant_with_decay"):
            raise InputError("training.early_stopping: needs schedule linear or cosine, and a single budget")
        if len(marks) > 1 and (self.schedule != "constant_with_decay" or self.max_seconds is not None):
            raise InputError("training.budgets: several budgets need schedule constant_with_decay and no max_seconds")
