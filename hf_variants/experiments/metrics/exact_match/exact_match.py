# Copyright 2026 The hf_variants authors. MIT licence.
"""Exact match: the share of answers that equal the expected ones, as GSM8K (arXiv:2110.14168) is scored."""

import datasets
import evaluate

MARK = "####"


def final_answer(text: str, marked: bool) -> str | None:
    """What is compared: the text after the last #### where answers are marked so (without commas), else all of it.

    White space is normalised. None where the mark is expected and missing.
    """
    if marked:
        before, mark, text = text.rpartition(MARK)
        if not mark:
            return None
        text = text.replace(",", "")
    return " ".join(text.split())


class ExactMatch(evaluate.Metric):
    """`compute(predictions=texts, references=texts)` -> {"exact_match": share in 0 … 1}."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Share of answers that equal the expected ones. Where an expected answer has a ####, what "
            "follows it is compared, otherwise all of it; white space is normalised.",
            citation="",
            inputs_description="predictions, references: texts.",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        right = [self.is_right(found, wanted) for found, wanted in zip(predictions, references, strict=True)]
        return {"exact_match": sum(right) / len(right)}

    def is_right(self, prediction: str, reference: str) -> bool:
        """Whether one answer counts."""
        marked = MARK in reference
        return final_answer(prediction, marked) == final_answer(reference, marked)
