# Copyright 2026 The hf_variants authors. MIT licence.
"""The house: which files may import which, read from their source. A line that breaks a rule is planted for each."""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator

import pytest

from hf_variants.bert import configuration_minbert, modeling_minbert
from hf_variants.gpt import configuration_nanogpt, modeling_nanogpt
from hf_variants.gru import configuration_bigru, modeling_bigru
from tests.helpers.places import ROOT

# Each imports only from those before it; what lies in hf_variants/experiments itself, the ground, comes first.
ROOMS = ("ground", "recipes", "variants", "text", "labelled", "metrics", "objectives", "machine", "models", "engine",
         "results", "figures", "reports", "comparisons", "pages", "analysis", "benchmarks")  # fmt: skip
# The same for what lies around the experiments.
STOREYS = ("families", "auto", "growth", "hub", "experiments", "training", "command")
BASELINES = {"bert": "minbert", "gpt": "nanogpt", "gru": "bigru"}  # of the families
OF_FAMILIES = {"torch", "transformers", "huggingface_hub"}

Sources = dict[str, str]  # of modules, by their names


@functools.cache
def sources() -> Sources:
    """Return the source of every module of the package and of the programs."""
    paths = [*(ROOT / "hf_variants").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    names = [name.replace("training.command.", "hf_variants_command.") for name in names]  # as it is installed
    return dict(sorted(zip(names, (path.read_text("utf-8") for path in paths), strict=True)))


@functools.cache
def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(source)


@functools.cache
def nodes(source: str) -> list[ast.AST]:
    """Return all nodes of that tree."""
    return list(ast.walk(parsed(source)))


def imports(module: str, source: str, known: Sources, top: bool = False) -> Iterator[tuple[str, str | None]]:
    """Yield what a module imports: modules, and names of modules; of those at its top level alone, if asked."""
    for node in parsed(source).body if top else nodes(source):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            for name in (alias.name for alias in node.names):
                is_module = f"{base}.{name}" in known or f"{base}.{name}.__init__" in known
                yield (f"{base}.{name}", None) if is_module else (base, name)


def room(module: str) -> str | None:
    """Return the room of the experiments that a module stands in."""
    parts = module.split(".")
    if parts[:2] != ["hf_variants", "experiments"]:
        return None
    return parts[2] if len(parts) > 2 and parts[2] in ROOMS else "ground"


def storey(module: str) -> str | None:
    """Return the storey of the house, None for what is not ours and for the package itself."""
    parts = [*module.split("."), ""]
    if parts[0] != "hf_variants":
        return {"training": "training", "hf_variants_command": "command"}.get(parts[0])
    return "families" if parts[1] in BASELINES else parts[1] if parts[1] in STOREYS else None


@functools.cache
def definitions(source: str) -> set[str]:
    """Return the names that a module defines."""
    names = set()
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def against_the_order(known: Sources) -> list[str]:
    """Return the imports of what comes later, by rooms and by storeys."""
    found = []
    for module, source in known.items():
        for target, _ in imports(module, source, known):
            for order, place in ((ROOMS, room), (STOREYS, storey)):
                here, there = place(module), place(target)
                if here is not None and there is not None and order.index(there) > order.index(here):
                    found.append(f"{module} imports {target}")
    return found


def what_results_load(known: Sources) -> list[str]:
    """Return the imports by which importing `results` would load torch or the engine."""
    waiting = [module for module in known if room(module) == "results"]
    seen, found = set(waiting), []
    while waiting:
        module = waiting.pop()
        for target, _ in imports(module, known[module], known, top=True):
            if target.split(".")[0] == "torch" or room(target) == "engine":
                found.append(f"{module} imports {target}")
            for name in (target, f"{target}.__init__"):
                if name in known and name not in seen and storey(name) == "experiments":
                    seen.add(name)
                    waiting.append(name)
    return found


def foreign_to_families(known: Sources) -> list[str]:
    """Return what families import besides torch, transformers and huggingface_hub, and each other."""
    found = []
    for module, source in known.items():
        if storey(module) == "families":
            family = module.rpartition(".")[0]
            for target, _ in imports(module, source, known):
                package = target.split(".")[0]
                allowed = OF_FAMILIES | sys.stdlib_module_names
                if package not in allowed and not target.startswith(f"{family}."):
                    found.append(f"{module} imports {target}")
    return found


def variants_of_variants(known: Sources) -> list[str]:
    """Return the imports of a variant's files that lead to another variant than its baseline."""
    found = []
    for module, source in known.items():
        if storey(module) == "families" and not module.endswith("__init__"):
            _, family, name = module.split(".")
            for target, _ in imports(module, source, known):
                variant = target.removeprefix(f"hf_variants.{family}.").partition("_")[2]  # of configuration_VARIANT
                if target in known and variant not in (name.partition("_")[2], BASELINES[family]):
                    found.append(f"{module} imports {target}")
    return found


def passed_on(known: Sources) -> list[str]:
    """Return the names that are imported from a file which imports them itself; packages may pass on their own."""
    found = []
    for module, source in known.items():
        for target, name in imports(module, source, known):
            if name not in (None, "*") and target in known and name not in definitions(known[target]):
                found.append(f"{module} imports {name} from {target}")
    return found


RULES = (against_the_order, what_results_load, foreign_to_families, variants_of_variants, passed_on)
E = "hf_variants.experiments"
PLANTED = {
    against_the_order: (
        (f"{E}.text.splits", "from ..engine.run import run_recipe"),
        (f"{E}.tables", "from .results import views"),
        (f"{E}.reports.cards", f"import {E}.pages.site"),
        (f"{E}.engine.loop", "def late():\n    from ..comparisons.cells import CellsRunner"),
        ("hf_variants.hub.export", "from ..experiments.checking import InputError"),
        ("hf_variants.growth.layers", "from ..hub.export import TABLE"),
        (f"{E}.machine.timing", "from training import train"),
        ("training.train", "from hf_variants_command import main"),
        ("hf_variants.bert.modeling_minbert", "from ..auto import TABLE"),
    ),
    what_results_load: (
        (f"{E}.results.views", "import torch"),
        (f"{E}.results.views", "from ..engine.record import SCHEMA"),
        (f"{E}.tables", "from torch import nn"),
    ),
    foreign_to_families: (
        ("hf_variants.bert.modeling_minbert", "import numpy as np"),
        ("hf_variants.gru.modeling_bigru", "from ..gpt.modeling_nanogpt import ready_mask"),
    ),
    variants_of_variants: (
        ("hf_variants.bert.modeling_highway_bert", "from .modeling_similarity_bert import SimilarityBertModel"),
        ("hf_variants.gpt.modeling_nanogpt", "from .configuration_conv_gpt import ConvGptConfig"),
    ),
    passed_on: (
        (f"{E}.results.views", "from ..tables import math"),
        ("training.train", f"from {E}.engine.run import json"),
    ),
}


def test_every_room_and_storey_has_its_place():
    experiments = ROOT / "hf_variants" / "experiments"
    assert {path.parent.name for path in experiments.glob("*/__init__.py")} == set(ROOMS) - {"ground"}
    assert {path.parent.name for path in (ROOT / "hf_variants").glob("*/__init__.py")} - {*BASELINES} <= set(STOREYS)


@pytest.mark.parametrize("rule", RULES)
def test_the_house_is_in_order(rule):
    assert rule(sources()) == []


@pytest.mark.parametrize(("rule", "module", "line"), [(rule, *planted) for rule in RULES for planted in PLANTED[rule]])
def test_a_planted_import_is_found(rule, module, line):
    known = sources()
    assert any(text.startswith(f"{module} imports ") for text in rule(known | {module: f"{known[module]}\n{line}\n"}))


COPIES = {  # of functions and constants of modules, and of methods, what all families that have it share
    (modeling_minbert, modeling_nanogpt, modeling_bigru): (
        *("ready_mask", "is_engines", "eager_attention_forward", "accumulated_share"),
    ),
    (modeling_minbert.MinBertPreTrainedModel, modeling_nanogpt.NanoGptPreTrainedModel): (
        *("engine_problem", "get_correct_attn_implementation"),
    ),
    (configuration_minbert.MinBertConfig, configuration_nanogpt.NanoGptConfig, configuration_bigru.BiGRUConfig): (
        *("full_auto_map", "validate_problem_type"),
    ),
    (configuration_minbert.MinBertConfig, configuration_bigru.BiGRUConfig): ("from_dict",),
}


@pytest.mark.parametrize(("holders", "name"), [(held, name) for held, names in COPIES.items() for name in names])
def test_copies_that_flat_folders_force_are_equal(holders, name):
    """A folder of the Hub is flat and holds one family, so families can't share a file."""
    found = [vars(holder)[name] for holder in holders if name in vars(holder)]
    assert len(found) > 1
    assert len({inspect.getsource(getattr(each, "__func__", each)) for each in found}) == 1


def test_constants_that_flat_folders_force_are_equal():
    modules = configuration_minbert, configuration_nanogpt, configuration_bigru
    assert len({module.PROBLEM_TYPES for module in modules}) == 1
