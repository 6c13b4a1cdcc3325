# Copyright 2026 The hf_variants authors. MIT licence.
"""The convex-hull argument: what must be zero is zero, the rest is counted."""

import json

import pytest
import torch

from hf_variants.experiments.analysis import convex_hull
from training import convex_hull as program


def test_the_last_key_lies_within_the_hull_of_the_others():
    keys = convex_hull.random_keys(50, 2, torch.Generator().manual_seed(0))
    for axis in torch.randn(20, 2, dtype=torch.float64):
        along = keys @ axis
        assert (along[:, 4] <= along[:, :4].amax(1)).all() and (along[:, 4] >= along[:, :4].amin(1)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_no_query_chooses_an_inner_key_by_dot_product(seed):
    found = convex_hull.count_inner_choices(sizes=(2, 8), queries=2000, seed=seed)
    for row in found["counts"]:
        assert row["dot_product"] == 0
        assert 20 < row["cosine"] < row["gaussian"] == row["euclidean"] < 2000
    assert found == convex_hull.count_inner_choices(sizes=(2, 8), queries=2000, seed=seed)


def test_the_program_prints_the_table_and_draws_it(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        program.main(["--output_dir", str(tmp_path), "--queries", "300"])
    assert stop.value.code == 0
    written = capsys.readouterr().out
    assert "queries of 300 that choose the key within the hull of 4 others" in written
    counts = json.loads((tmp_path / "convex_hull.json").read_text())["counts"]
    assert [row["size"] for row in counts] == list(convex_hull.SIZES)
    assert (tmp_path / "convex_hull.png").stat().st_size > 10_000
    with pytest.raises(SystemExit) as stop:
        program.main(["--output_dir", str(tmp_path), "--queries", "3"])
    assert stop.value.code == 2
