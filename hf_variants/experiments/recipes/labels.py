# Copyright 2026 The hf_variants authors. MIT licence.
"""Which columns hold the labels of texts, and what they mean: the `labels` section of a recipe.

labels:
  label_columns: [toxic, severe_toxic, obscene, threat, insult, identity_hate]
  any_of: true
  label_names: [harmless, malicious]
"""

from dataclasses import dataclass
from typing import Literal

from ..checking import InputError, Range, about, check_types

ANY_OF_NAMES = ["none", "any"]  # of any_of, for want of others: they name no class but the numbers 0 and 1
SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"


@dataclass
class LabelArguments:
    """What is predicted for each text: one class, several labels at once, or a number."""

    label_column: str = about("column of the label, unless label_columns or label_list_column says otherwise", "label")
    label_columns: list[str] = about(
        "several columns of 0 and 1: one label each, or one in all with any_of", factory=list
    )
    label_list_column: str | None = about("column of lists of labels: those that a text has")
    any_of: bool = about("make one label of label_columns: whether any of them is 1", False)
    pair_column: str | None = about("column of the second text, where pairs of texts have a label")
    label_names: list[str] = about(
        "names in the order of ids (default: those that the data set or its labels.txt gives, or its labels in order)",
        factory=list,
    )
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"] | None = about(
        "default: told from the columns; regression where a label is no whole number"
    )
    on_bad_row: Literal["error", "skip"] = about(
        "a row without text or without a valid label: stop, or leave it out", "error"
    )
    max_train_examples: int | None = about(
        "train on so many examples, a fixed choice that keeps the labels' shares", allowed=Range(2)
    )

    def __post_init__(self) -> None:
        check_types(self, "labels")
        if self.label_columns and self.label_list_column is not None:
            raise InputError("labels: give label_columns or label_list_column, not both")
        if self.any_of and not self.label_columns:
            raise InputError("labels.any_of: needs label_columns, of which any may be 1")
        for name in ("label_columns", "label_names"):
            twice = sorted({item for item in getattr(self, name) if getattr(self, name).count(item) > 1})
            if twice:
                raise InputError(f"labels.{name}: '{twice[0]}' stands there twice")
        self._check_names()
        self._check_problem_type()

    def columns(self) -> list[str]:
        """The columns that hold the labels."""
        return self.label_columns or [self.label_list_column or self.label_column]

    def _check_names(self) -> None:
        count = 2 if self.any_of else len(self.label_columns)
        if self.label_names and count and len(self.label_names) != count:
            what = "any_of makes two labels, no and yes" if self.any_of else f"label_columns has {count} columns"
            raise InputError(f"labels.label_names: {len(self.label_names)} names; {what}")
        if len(self.label_names) == 1 and not self.label_columns:
            raise InputError(f"labels.label_names: '{self.label_names[0]}' alone; at least two names are needed")
        if self.label_names and self.problem_type == REGRESSION:
            raise InputError("labels.label_names: regression predicts a number, which has no names")

    def _check_problem_type(self) -> None:
        several = bool(self.label_columns and not self.any_of) or self.label_list_column is not None
        allowed = (MULTI,) if several else (SINGLE,) if self.any_of else (SINGLE, REGRESSION)
        if self.problem_type is not None and self.problem_type not in allowed:
            columns = ", ".join(self.columns())
            raise InputError(f"labels.problem_type: {self.problem_type} from {columns}; allowed: {', '.join(allowed)}")


__all__ = ["ANY_OF_NAMES", "MULTI", "REGRESSION", "SINGLE", "LabelArguments"]
