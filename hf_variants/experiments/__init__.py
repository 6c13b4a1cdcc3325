# Copyright 2026 The hf_variants authors. MIT licence.
"""An experiment's machinery, in the order data flows: corpus, objective, loop, record, results, card."""
