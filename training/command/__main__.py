# Copyright 2026 The hf_variants authors. MIT licence.
"""`python -m hf_variants_command`: the command, where its folder of scripts is not on the path."""

from .main import main

if __name__ == "__main__":
    main()
