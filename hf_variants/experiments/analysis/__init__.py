# Copyright 2026 The hf_variants authors. MIT licence.
"""Programs' own measurements of finished models: evaluation, depth, convex hulls."""
