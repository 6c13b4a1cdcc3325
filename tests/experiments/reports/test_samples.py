# Copyright 2026 The hf_variants authors. MIT licence.
"""What models wrote is shown as it is, and can break nothing around it."""

import pytest

from hf_variants.experiments.reports.samples import LONGEST_SAMPLE, fence, has_written, samples_markdown
from tests.helpers import sample_comparison as sample


@pytest.mark.parametrize("text", ["", "plain", "```", "a ````` b", "`", "~~~\n# no title\n| a |"])
def test_a_text_cannot_close_its_block(text):
    first, *inside, last = fence(text).split("\n")
    assert first == last + "text" and len(last) >= 3
    assert "\n".join(inside) == text
    assert last not in text


def test_what_no_file_can_hold_is_replaced_and_what_is_long_is_cut():
    assert fence("a\x00b\x1b[31m\ud800\tc\r\nd") == "```text\na\ufffdb\ufffd[31m\ufffd\tc\nd\n```"
    block = fence("x" * 10_000)
    assert block.count("x") == LONGEST_SAMPLE + 1 and "[…]" in block  # and the one in "text"


def test_samples_of_every_arm():
    results = sample.built(sample.comparison(), sample.causal_records())
    text = samples_markdown(results)
    for arm in results.arms:
        assert f"## {arm}, seed 0" in text and f"````text\n```\n# {arm} 0\n````" in text
    assert text.count("From the beginning of a document:") == 3
    assert "Prompt:\n\n```text\nTo\n```\n\nContinuation:\n\n```text\n be\n```" in text
    assert "```text\nprompt: 1 + 1 =\nexpected: 2\nanswer: 3\n```" in text
    assert has_written(results)
    assert not has_written(sample.built(sample.comparison(), sample.records()))
