# Copyright 2026 The hf_variants authors. MIT licence.
"""What trained language models wrote, as Markdown: sampled texts, and answers to questions.

A model may write anything, so nothing of it is ever rendered: all stands in fenced blocks that it cannot close.
"""

import re

from ..records import Answer, Answers, Sample
from ..results.contracts import Arm, Results

SAMPLES = "samples.md"
PER_ARM = 3
ANSWERS_PER_ARM = 5
LONGEST_SAMPLE = 1500  # characters of one text

# All control characters but tab and newline, and lone surrogates, which no file can hold.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def fence(text: str) -> str:
    """`text` as a fenced block of at most LONGEST_SAMPLE characters; the fence is longer than any run of backticks."""
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    if len(text) > LONGEST_SAMPLE:
        text = text[:LONGEST_SAMPLE] + " […]"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}text\n{text}\n{marks}"


def has_written(results: Results) -> bool:
    """Whether any arm of a comparison has samples or answers."""
    return any(row.samples or row.answers for row in results.arms.values())


def samples_markdown(results: Results) -> str:
    """samples.md of a comparison: for each arm what its best seed wrote."""
    sections = [f"# What the models of {results.name} wrote"]
    sections += ["One model per arm: the seed that was best on validation. Nothing here was selected."]
    for arm, row in results.arms.items():
        if row.samples or row.answers:
            sections += [f"## {arm}, seed {row.best_seed}", *written_sections(row)]
    return "\n\n".join(sections) + "\n"


def written_sections(row: Arm, title: str = "###") -> list[str]:
    """Samples and answers of one arm as paragraphs, headed by `title`; none where it wrote nothing."""
    sections = []
    if row.samples:
        sections += [f"{title} Samples"]
        sections += [part for sample in row.samples[:PER_ARM] for part in _sample(sample)]
    if row.answers:
        sections += [f"{title} Answers", answers_sentence(row.answers)]
        sections += [_answer(example) for example in row.answers.examples[:ANSWERS_PER_ARM]]
    return sections


def answers_sentence(answers: Answers) -> str:
    """How many questions were answered exactly."""
    share, split = answers.exact_match, answers.split
    text = f"{answers.correct} of {answers.questions} {split + ' ' if split else ''}questions answered exactly"
    return f"{text} (exact match {share:.3f}), the most probable token at each step. The first ones:"


def _sample(sample: Sample) -> list[str]:
    if not sample.prompt:
        return ["From the beginning of a document:", fence(sample.text)]
    return ["Prompt:", fence(sample.prompt), "Continuation:", fence(sample.text)]


def _answer(example: Answer) -> str:
    return fence(f"prompt: {example.prompt}\nexpected: {example.expected}\nanswer: {example.answer}")
