# Copyright 2026 The hf_variants authors. MIT licence.
"""Pictures of results: curves, architectures, growth, and the interactive ones of the site."""
