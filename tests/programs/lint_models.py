"""Lints the model files with transformers' own linter (part of `make lint`), less the rules in `IGNORED`.

The linter's command can switch rules on but not off, so this calls its Python interface.
"""

import sys
from pathlib import Path

import mlinter

ROOT = Path(__file__).resolve().parents[2]

IGNORED = {
    "TRF028": "the Apache licence header is a rule of the transformers tree; this package is under MIT",
    "TRF041": "asks which checkpoints take each branch; a branch on the configuration is what a variant is made of",
    "TRF057": "@auto_docstring fills in texts that only the transformers tree has; we write plain docstrings",
}

# {(rule, file): why}, for what is an exception rather than a principle.
IGNORED_IN_FILE = {
    (
        "TRF026",
        "modeling_minbert.py",
    ): "the wrapper gives the head BERT's parameter names, cls.predictions.*",
}


def model_files() -> list[Path]:
    """Return every modeling and configuration file of the package."""
    package = ROOT / "hf_variants"
    return sorted([*package.rglob("modeling_*.py"), *package.rglob("configuration_*.py")])


def violations(path: Path) -> list[mlinter.Violation]:
    """Return what the linter finds in one file, less what is ignored."""
    rules = mlinter.DEFAULT_ENABLED_TRF_RULES - IGNORED.keys()
    found = mlinter.analyze_file(path, path.read_text(encoding="utf-8"), rules)
    return [violation for violation in found if (violation.rule_id, path.name) not in IGNORED_IN_FILE]


def main() -> int:
    """Print every violation and return the exit code: 1 if there is one, or if there was nothing to check."""
    files = model_files()
    found = [violation for path in files for violation in violations(path)]
    for violation in found:
        print(f"{violation.file_path.relative_to(ROOT)}:{violation.line_number}: {violation.message}")
    print(f"transformers-mlinter: {len(files)} files, {len(found)} violations")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
