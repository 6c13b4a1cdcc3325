# Copyright 2026 The hf_variants authors. MIT licence.
"""What a new variant may be made of, its names, and its files as text."""

import difflib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ..checking import InputError

TEMPLATES = Path(__file__).with_name("templates")
PACKAGE_FOLDER = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Family:
    """A family of models: its baseline, how its classes' names begin, and the recipe that variants are tried with."""

    folder: str
    baseline: str
    prefix: str
    recipe: str

    def code(self) -> dict[str, str]:
        """The baseline's own files, by name: what a variant's files import beside them."""
        names = (f"configuration_{self.baseline}.py", f"modeling_{self.baseline}.py")
        return {name: (PACKAGE_FOLDER / self.folder / name).read_text(encoding="utf-8") for name in names}


FAMILIES = {
    family.baseline: family
    for family in (
        Family("bert", "minbert", "MinBert", "demo"),
        Family("gpt", "nanogpt", "NanoGpt", "nanogpt_arithmetic"),
        Family("gru", "bigru", "BiGRU", "bigru_docstrings"),
    )
}


@dataclass(frozen=True)
class Variant:
    """A variant to be written: its model type, and what it is made of."""

    name: str
    family: Family

    @property
    def prefix(self) -> str:
        """How the names of its classes begin."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    def text(self, template: str) -> str:
        """A file of the variant, from a template."""
        names = {"name": self.name, "Name": self.prefix, "base": self.family.baseline, "Base": self.family.prefix}
        names |= {"family": self.family.folder, "recipe": self.family.recipe, "imports": self._test_imports()}
        return Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(names)

    def _test_imports(self) -> str:
        """Of the baseline's model and the variant's, in the order of their names."""
        models = sorted({self.family.baseline: self.family.prefix, self.name: self.prefix}.items())
        package = f"hf_variants.{self.family.folder}"
        return "\n".join(f"from {package}.modeling_{name} import {prefix}Model" for name, prefix in models)

    def code(self) -> dict[str, str]:
        """The variant's own files, by name."""
        return {
            f"configuration_{self.name}.py": self.text("configuration"),
            f"modeling_{self.name}.py": self.text(f"modeling_{self.family.folder}"),
        }

    def auto_map(self) -> dict[str, str]:
        """Which class every Auto class takes, as the modeling file registers them."""
        models = self.text(f"modeling_{self.family.folder}")
        registered = re.findall(r'^(\w+)\.register_for_auto_class\("(\w+)"\)', models, re.MULTILINE)
        roles = {auto: f"modeling_{self.name}.{ours}" for ours, auto in registered}
        return {"AutoConfig": f"configuration_{self.name}.{self.prefix}Config"} | roles


def new_variant(name: str, baseline: str) -> Variant:
    """The variant of these names. Raises InputError where a name can't be taken."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise InputError(f"{name}: no name for a model type; allowed: small letters, digits, and _ between them")
    if baseline not in FAMILIES:
        near = difflib.get_close_matches(baseline, FAMILIES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(FAMILIES)}"
        raise InputError(f"--of {baseline}: {hint}")
    taken = {path.stem.removeprefix("configuration_") for path in PACKAGE_FOLDER.glob("*/configuration_*.py")}
    if name in taken or _is_of_transformers(name):
        raise InputError(f"{name}: there is a model of this type already; choose another name")
    return Variant(name, FAMILIES[baseline])


def _is_of_transformers(name: str) -> bool:
    spec = importlib.util.find_spec("transformers")  # found, not imported, which takes seconds
    folders = spec.submodule_search_locations if spec is not None else []
    return any((Path(folder) / "models" / name).is_dir() for folder in folders)
