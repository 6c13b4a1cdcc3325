# Copyright 2026 The hf_variants authors. MIT licence.
"""What is made of all committed comparisons: the front page, the claims, the site."""
