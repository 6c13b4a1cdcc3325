# Copyright 2026 The hf_variants authors. MIT licence.
"""Which figures a comparison or an evaluation of classifiers has, and their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .classification_plots import plot_confusion, plot_precision_recall, plot_reliability

PRECISION_RECALL, RELIABILITY, CONFUSION = "precision_recall.png", "reliability.png", "confusion.png"
TEXTS = {
    PRECISION_RECALL: "Precision against recall on test",
    RELIABILITY: "How often what is said with a probability is so",
    CONFUSION: "True against predicted classes of the baseline",
}
FLOOR = "TF-IDF floor"
FLOOR_ARM = "floor: TF-IDF + logistic regression"  # in tables of arms


def figure_tables(results: Mapping[str, Any], name: str) -> dict[str, Any]:
    """By arm (and of the floor) the table of one figure, of the published weights; those that have one."""
    found = {arm: row.get("classification") or {} for arm, row in results["arms"].items()}
    if results.get("floor"):
        found[FLOOR] = results["floor"]["classification"]
    tables = {arm: (about.get("curves") or {}).get(name) for arm, about in found.items()}
    return {arm: table for arm, table in tables.items() if table}


def drawn_figures(results: Mapping[str, Any]) -> list[str]:
    """The files that `plot_classification` writes for these results."""
    names = {"precision_recall": PRECISION_RECALL, "reliability": RELIABILITY}
    found = [file for name, file in names.items() if figure_tables(results, name)]
    return found + ([CONFUSION] if results["baseline"] in figure_tables(results, "confusion") else [])


def plot_classification(results: Mapping[str, Any], folder: Path) -> None:
    """Draws what the results have tables for."""
    drawn, baseline = drawn_figures(results), results["baseline"]
    if PRECISION_RECALL in drawn:
        plot_precision_recall(figure_tables(results, "precision_recall"), folder / PRECISION_RECALL)
    if RELIABILITY in drawn:
        plot_reliability(figure_tables(results, "reliability"), folder / RELIABILITY)
    if CONFUSION in drawn:
        names = results["arms"][baseline]["classification"]["label_names"]
        plot_confusion(figure_tables(results, "confusion")[baseline], names, folder / CONFUSION, title=baseline)


def plot_evaluation(curves: Mapping[str, Any], label_names: Sequence[str], name: str, folder: Path) -> None:
    """The same for one model's tables, under its name."""
    if "precision_recall" in curves:
        plot_precision_recall({name: curves["precision_recall"]}, folder / PRECISION_RECALL)
    if "reliability" in curves:
        plot_reliability({name: curves["reliability"]}, folder / RELIABILITY)
    if "confusion" in curves:
        plot_confusion(curves["confusion"], label_names, folder / CONFUSION)
