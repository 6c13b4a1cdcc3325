# Copyright 2026 The hf_variants authors. MIT licence.
"""An experiment's machinery, in rooms that import only from those before them.

checking, configs, notes, files, contract, records, tables; then recipes, variants, text, labelled, metrics,
objectives, machine, models, engine, results, figures, reports, comparisons, pages, analysis, benchmarks.
`tests/test_house.py` keeps this order.
"""
