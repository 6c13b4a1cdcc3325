# Copyright 2026 The hf_variants authors. MIT licence.
"""What a run leaves behind, and what is measured beside the runs of a comparison, as typed objects.

Metrics are kept by their names and settings by theirs: both are open sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .contract import SCHEMA, Contract, always

Settings = Mapping[str, Any]  # of a section of a recipe, a configuration, an environment: values by their names
Metrics = Mapping[str, Any]  # of one split: values by their names, most of them numbers
Interval = tuple[float, float]  # of 95 %
Sizes = Mapping[str, Any]  # of one split: counts by their units, and what else is said of it

# ---- a run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RecordedRecipe(Contract):
    """The recipe of a run, section by section, as it was when it ran: it may lack settings that were added later."""

    name: str
    description: str = ""
    model: Settings = field(default_factory=dict)
    data: Settings = field(default_factory=dict)
    tokenizer: Settings = field(default_factory=dict)
    objective: Settings = field(default_factory=dict)
    training: Settings = field(default_factory=dict)
    growth: Settings | None = None
    labels: Settings | None = None


@dataclass(frozen=True, kw_only=True)
class DataRecord(Contract):
    """What data a run was trained and evaluated on; `unigram_entropy` in nats per token."""

    name: str
    license: str | None = None
    hub_id: str | None = None
    language: str | None = None
    fingerprint: str
    problem_type: str | None = None  # of labelled data
    label_names: tuple[str, ...] | None = None
    splits: Mapping[str, Sizes] = field(default_factory=dict)
    skipped: Mapping[str, Any] | None = None  # bad rows, counted by what is the matter
    fingerprint_of: Any = None
    unigram_entropy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Mark(Contract):
    """An evaluation at the end of a budget: what was spent up to it, and the metrics of each split."""

    tokens: int
    steps: int
    flops: float
    seconds: float
    stage_tokens: tuple[int, ...] | None = None  # trained in each growth stage
    best_step: int | None = None  # whose weights were evaluated, where training may stop early
    validation: Metrics = field(default_factory=dict)
    test: Metrics = field(default_factory=dict)
    examples: int | None = None

    def metrics(self, split: str) -> Metrics:
        """The metrics of "validation" or "test"; none where it was not evaluated."""
        return {"validation": self.validation, "test": self.test}[split]


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Contract):
    """A point of the loss curve of a run, before any decay."""

    tokens: int
    steps: int
    train_loss: float | None = None
    layer_grad_norms: tuple[float, ...] | None = None
    validation_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt(Contract):
    """What a growth operation did; sizes are those before and after it."""

    operation: str = ""
    arguments: Settings = field(default_factory=dict)
    layers: tuple[int, ...] | None = None
    blocks: tuple[int, ...] | None = None
    parameters: tuple[int, ...] | None = None
    added: int | None = None
    trainable_parameters: Any = None
    frozen: Any = None
    max_difference: float | None = None  # of an output on the same inputs
    probe: Any = None
    lora: Settings | None = None


@dataclass(frozen=True, kw_only=True)
class GrowthStep(Contract):
    """One growth of a run: where it happened, the validation loss around it, and what it did."""

    step: int
    tokens: int
    flops: float | None = None
    stage_tokens: tuple[int, ...] | None = None
    stage: int
    receipt: Receipt = field(default_factory=Receipt)
    loss_before: float
    loss_after: float
    flops_per_token: Any = None  # before and after it
    parameters: int | None = None
    trainable_parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Unfreezing(Contract):
    """Where more of a run's model began to train: nothing grew, and `receipt` has no sizes to compare."""

    step: int
    tokens: int
    flops: float | None = None
    stage_tokens: tuple[int, ...] | None = None
    stage: int
    receipt: Settings = field(default_factory=dict)
    flops_per_token: Any = None
    parameters: int | None = None
    trainable_parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample(Contract):
    """A text that a model wrote after `prompt`."""

    prompt: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Answer(Contract):
    """What a model answered, and what was expected."""

    prompt: str
    expected: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Counts(Contract):
    """Questions, and how many of them were answered exactly."""

    questions: int
    correct: int


@dataclass(frozen=True, kw_only=True)
class Answers(Contract):
    """What a model made of the questions of a split."""

    split: str = ""
    questions: int
    correct: int
    exact_match: float
    by_equations: Mapping[str, Counts] = field(default_factory=dict)  # by how many the expected answer has
    examples: tuple[Answer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExampleInterval(Contract):
    """A metric of one model with its interval over resamples of the test examples."""

    value: float
    ci95: Interval
    resamples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Classification(Contract):
    """What is said of a finished classifier beside its metrics; `curves` are those of its figures."""

    kind: str
    label_names: tuple[str, ...]
    threshold: Any = None  # one, or one per label
    intervals: Mapping[str, ExampleInterval] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WordVectors(Contract):
    """How many words of a vocabulary have a pretrained vector, and their share; special tokens don't count."""

    found: int
    missing: int
    share: float

    def __str__(self) -> str:
        return f"{self.found} of {self.found + self.missing} words have a pretrained vector ({self.share:.1%})"


@dataclass(frozen=True, kw_only=True)
class Selection(Contract):
    """What models are selected by on validation; `value` is that of a trial."""

    metric: str
    lower_is_better: bool
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord(Contract):
    """All that is known of a finished run."""

    schema: int = always(SCHEMA)
    arm: str
    seed: int
    recipe_fingerprint: str
    recipe: RecordedRecipe
    model_type: str = ""
    config: Settings | None = None
    data: DataRecord
    word_vectors: WordVectors | None = None
    parameters: int
    trainable_parameters: int
    flops_per_token: float
    marks: tuple[Mark, ...]
    curve: tuple[CurvePoint, ...] = ()
    tokens: int
    steps: int
    seconds: float
    stages: tuple[GrowthStep, ...] = ()
    unfrozen: tuple[Unfreezing, ...] = ()
    environment: Settings = field(default_factory=dict)
    finished: str = ""
    speed: Mapping[str, float] | None = None
    samples: tuple[Sample, ...] = ()
    answers: Answers | None = None
    remarks: tuple[str, ...] = ()
    classification: Classification | None = None
    selection: Selection | None = None
    comparison: str = ""
    command: str = ""

    @property
    def last(self) -> Mark:
        """The mark at the end of the run."""
        return self.marks[-1]


# ---- what is measured beside the runs ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trial(Contract):
    """A run that tuned settings, and what it got on validation: nothing where it diverged."""

    trial: int
    settings: Settings
    seed: int
    recipe_fingerprint: str = ""
    tokens: int | None
    validation_loss: float | None
    selection: Selection | None = None
    chosen: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ArmTiming(Contract):
    """What a quiet run measured of an arm; seconds are those of training, each growth stage has its own."""

    train_step_ms: float | None = None
    train_step_ms_quartiles: Interval | None = None
    seconds_per_token: float | None = None
    tokens_per_second: float | None = None
    inference_ms: float | None = None
    inference_batch: Any = None
    peak_memory_mb: float | None = None
    stage_seconds_per_token: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timing(Contract):
    """A quiet run, in which arms took turns."""

    arms: Mapping[str, ArmTiming]
    rounds: int | None = None
    load_average: float | None = None
    environment: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Floor(Contract):
    """What a simpler method makes of the same data, by split."""

    fingerprint: str
    metrics: Mapping[str, Metrics]
    classification: Classification


@dataclass(frozen=True, kw_only=True)
class ConstantAnswer(Contract):
    """The answer that is right most often in train, and how often it is in the questions that models are asked."""

    answer: str
    exact_match: float
    questions: int


@dataclass(frozen=True, kw_only=True)
class NGramFloor(Contract):
    """Mean losses, in nats per token, of the n-gram models of orders 1, 2, … on the tokens that models are scored on.

    `seen` are counted on the tokens that an arm reads in its whole budget, `whole` on all of train, unless that is
    streamed. Of a masked objective they are losses of the hidden tokens, seen from both sides.
    """

    fingerprint: str  # of the data
    split: str
    sides: int
    predicted: int  # tokens that were scored
    tokens_seen: int
    tokens_whole: int | None
    seen: tuple[float, ...]
    whole: tuple[float, ...] | None
    constant_answer: ConstantAnswer | None = None


@dataclass(frozen=True, kw_only=True)
class Pair(Contract):
    """Two classifiers of one seed on the same test examples; `runs` are the fingerprints of their recipes."""

    arm: str
    against: str
    seed: int
    metric: str
    runs: tuple[str, ...]
    difference: float
    ci95: Interval
    p: float | None
    resamples: int
    examples: int
