# Copyright 2026 The hf_variants authors. MIT licence.
"""What the records of finished runs say: views, tests, verdicts. Reads JSON, and needs no torch."""
