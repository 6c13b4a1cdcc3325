# Copyright 2026 The hf_variants authors. MIT licence.
"""Labelled examples: tables read strictly, labels by name, splits that keep the shares of labels."""
