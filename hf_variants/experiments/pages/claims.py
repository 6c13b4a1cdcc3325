# Copyright 2026 The hf_variants authors. MIT licence.
"""The page that sets what the five systems published beside what was measured here.

`claims.yaml` says what was claimed, what was wrong with it, and where the measured figure is looked up; no measured
figure stands there. What is not measured yet says so, and fills itself in when its results are published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..checking import InputError, as_mapping, refuse_unknown
from ..recipes.recipe import read_yaml
from .claim_lookups import Lookup, check_lookup, look_up
from .sources import NotMeasuredError, Sources

FILE = "claims.yaml"
NOT_MEASURED = "not measured yet"
NEVER = "not measured here"
# Where lookups that have no report take their figures from.
_PAGES = {
    "convex_hull": "convex_hull/convex_hull.json",
    "context_curve": "speed/context_curve.json",
    "benchmark": "speed/benchmark.json",
    "depth": "{comparison}/depth/analysis.json",
}
_INTRODUCTION = """# What was claimed, and what was measured

Five published systems supplied the ideas of this package. Each of their claims is set beside what was measured here,
with what was wrong with it. The measured side is read from the published results by `make cards`: nothing on it is
typed in. Parameters are those of the published sizes where they are claimed. All else is measured on smaller models
that ran on two CPU cores: compare times as ratios alone, and losses only with losses on the same data."""


@dataclass(frozen=True)
class Claim:
    """One claim: what was published, what was wrong with it, how it is looked up, and what to keep in mind.

    `larger` are the comparisons that would say more, e.g. at the published size, each with what it adds.
    """

    title: str
    published: str
    wrong: str
    measured: Sequence[Lookup] = ()
    note: str = ""
    larger: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """A published system with its claims, by their ids (`A1`, `A2`, …)."""

    name: str
    source: str
    idea: str
    models: Sequence[str]
    claims: Mapping[str, Claim] = field(default_factory=dict)


def load_claims(path: Path | None = None) -> dict[str, System]:
    """The systems of a claims file, by their letter; by default those of the file beside this module.

    Raises InputError for what is missing or unknown in it.
    """
    path = path or Path(str(files(__package__).joinpath(FILE)))
    return {letter: _system(letter, content, f"{path}: {letter}") for letter, content in read_yaml(path).items()}


def _system(letter: str, content: Any, where: str) -> System:
    content = _checked(content, System, where)
    claims = as_mapping(content["claims"], f"{where}: claims")
    for name in claims:
        if not str(name).startswith(letter):
            raise InputError(f"{where}: claim {name}; its id has to begin with {letter}")
    return System(**content | {"claims": {name: _claim(claim, f"{where}: {name}") for name, claim in claims.items()}})


def _claim(content: Any, where: str) -> Claim:
    content = _checked(content, Claim, where, optional=("measured", "note", "larger"))
    for number, lookup in enumerate(content.get("measured", ()), 1):
        check_lookup(as_mapping(lookup, f"{where}: measured {number}"), f"{where}: measured {number}")
    for comparison, adds in as_mapping(content.get("larger", {}), f"{where}: larger").items():
        if not adds or not isinstance(adds, str):
            raise InputError(f"{where}: larger: {comparison}: says not what it adds")
    return Claim(**content)


def _checked(content: Any, cls: type, where: str, optional: Sequence[str] = ()) -> dict[str, Any]:
    content, names = as_mapping(content, where), list(cls.__dataclass_fields__)
    refuse_unknown(content, names, where)
    for name in names:
        if name not in optional and not content.get(name):
            raise InputError(f"{where}: {name} is missing")
    return content


# ---- the page ------------------------------------------------------------------------------------------------------


def claims_page(systems: Mapping[str, System], sources: Sources) -> str:
    """claims.md: per system its idea, and per claim what was published, what was wrong, and what was measured."""
    parts = [_INTRODUCTION, _contents(systems, sources)]
    for letter, system in systems.items():
        models = ", ".join(f"`{model}`" for model in system.models)
        parts += [f"## {letter}. {system.name}", f"{system.source} → {models}. {system.idea}"]
        parts += [_section(name, claim, sources) for name, claim in system.claims.items()]
    return "\n\n".join(parts) + "\n"


def _section(name: str, claim: Claim, sources: Sources) -> str:
    lines = [f"### {name}. {claim.title}", ""]
    lines += [f"* **Published:** {_sentence(claim.published)}", f"* **What was wrong:** {_sentence(claim.wrong)}"]
    found = _measured(claim, sources)
    if len(found) == 1:
        lines.append(f"* **Measured:** {found[0].text}")
    else:
        lines += ["* **Measured:**", *(f"  * {finding.text}" for finding in found)]
    lines += [f"* **Note:** {_sentence(claim.note)}"] if claim.note else []
    lines += [f"* {_larger(comparison, adds, sources)}" for comparison, adds in claim.larger.items()]
    return "\n".join(lines)


@dataclass(frozen=True)
class Finding:
    """A sentence on the measured side of a claim, and whether there is a result behind it."""

    text: str
    is_measured: bool


def _measured(claim: Claim, sources: Sources) -> list[Finding]:
    """What each lookup finds, with a link to its source; what is still to come is said once per reason."""
    found = [_finding(lookup, sources) for lookup in claim.measured]
    return list(dict.fromkeys(found)) or [Finding(f"{NEVER}.", False)]


def _larger(comparison: str, adds: str, sources: Sources) -> str:
    """A comparison that says more, as a link once it has results."""
    if has_results(comparison, sources):
        return f"**Also measured:** {adds} ([{comparison}]({comparison}/report.md))."
    return f"**Open:** {adds} (`training/comparisons/{comparison}.yaml`)."


def has_results(comparison: str, sources: Sources) -> bool:
    """Whether a comparison is published."""
    try:
        sources.published(comparison)
    except NotMeasuredError:
        return False
    return True


def _finding(lookup: Lookup, sources: Sources) -> Finding:
    try:
        text = look_up(lookup, sources)
    except NotMeasuredError as error:
        return Finding(f"*{NOT_MEASURED}*: {error}.", False)
    return Finding(f"{_sentence(text)}{_link(lookup)}", True)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _link(lookup: Lookup) -> str:
    """Where the figure is from; what is counted on the spot has no page."""
    page = _PAGES.get(lookup["lookup"])
    if page:
        return f" ([data]({page.format_map(lookup)}))"
    if "comparison" not in lookup:
        return ""
    place = "/".join(str(lookup[key]) for key in ("comparison", "cell") if key in lookup)
    return f" ([{place}]({place}/report.md))"


def measured_share(claim: Claim, sources: Sources) -> float:
    """How many of a claim's sentences have a result, from 0 to 1."""
    found = _measured(claim, sources)
    return sum(finding.is_measured for finding in found) / len(found)


def _contents(systems: Mapping[str, System], sources: Sources) -> str:
    every = [claim for system in systems.values() for claim in system.claims.values()]
    lines = [_counts([measured_share(claim, sources) for claim in every]), "", _open(every, sources), ""]
    for letter, system in systems.items():
        links = ", ".join(f"[{name}](#{anchor(f'{name}. {claim.title}')})" for name, claim in system.claims.items())
        lines.append(f"* {letter}. {system.name}: {links}")
    return "\n".join(lines)


def _counts(shares: Sequence[float]) -> str:
    full, none = sum(share == 1 for share in shares), sum(share == 0 for share in shares)
    part = len(shares) - full - none
    return f"{len(shares)} claims: {full} measured, {part} measured in part, {none} not measured yet."


def _open(claims: Sequence[Claim], sources: Sources) -> str:
    """How many claims wait for a comparison that would say more, and how many of those comparisons have run."""
    names = {name for claim in claims for name in claim.larger}
    ran = {name for name in names if has_results(name, sources)}
    naming = sum(bool(set(claim.larger) - ran) for claim in claims)
    return (
        f"{naming} of them are open at the published size, or in another form, and name the comparison that would "
        f"measure that. Of these {len(names)} comparisons {len(ran)} have run."
    )


def anchor(heading: str) -> str:
    """What GitHub and the Hub make of a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
