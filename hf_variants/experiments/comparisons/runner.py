# Copyright 2026 The hf_variants authors. MIT licence.
"""Arms × seeds under one budget. Every finished run leaves a small record and is never run again.

A comparison file names a base recipe, the arms as changes to it, seeds, and perhaps a `tune` block that gives every
arm the same number of trials on validation. What is published is generated from the records alone.
"""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import PartialState
from transformers import PreTrainedConfig

from ...hub.export import changed_files, export_folder
from ..checking import DivergedError, InputError
from ..configs import prediction_horizon
from ..contract import read
from ..engine.identity import BOOKKEEPING, identity, recipe_fingerprint
from ..engine.new_model import check_head
from ..engine.prepared import Prepared, prepare
from ..engine.run import run_recipe
from ..engine.setup import set_up
from ..figures.architecture import has_figure, plot_architecture
from ..figures.classification import CAPTIONS as FIGURES
from ..figures.classification import drawn_figures, plot_classification
from ..figures.growth import CAPTIONS as GROWTH_PLOTS
from ..figures.growth import drawn_plots, plot_growing
from ..figures.plots import COST_QUALITY, LOSS_CURVES, plot_cost_quality, plot_loss_curves
from ..files import read_json, write_json
from ..labelled.corpus import LabelledCorpus, skipped_rows
from ..machine.processes import told
from ..objectives.base import selected
from ..recipes.recipe import SECTIONS, Recipe, recipe_from_dict
from ..records import Floor, NGramFloor, RunRecord, Settings, Timing, Trial
from ..reports.cards import architecture_file, model_card
from ..reports.report import console_table, report_markdown
from ..reports.samples import SAMPLES, has_written, samples_markdown
from ..results.contracts import Results
from ..results.results import build_results
from ..results.views import unsteadiness
from ..results.wording import unsteady_note
from .arm_timing import quiet_run
from .comparison import Comparison
from .floor import floor_record
from .folder import FLOOR_RECORD, NGRAMS, check_comparison, copy_present
from .leases import holder, leased
from .ngram_floor import has_ngram_floor, ngram_floor
from .pairs import PAIRS, read_pairs, update_pairs
from .tuning import trial_recipes, with_choice

DIVERGED = "diverged.txt"  # in the folder of a run
LEASE = ".lease"  # in place of the ending of a record that somebody is at
_FOREIGN = "{}: is the record of another recipe or other data; move it away or use another --output_dir"


# ---- running -------------------------------------------------------------------------------------------------------


class Runner:
    """Does what is still to be done of a comparison; all state is in the files of `records` and `folder`."""

    def __init__(self, comparison: Comparison, folder: Path, records: Path | None = None) -> None:
        self.comparison, self.folder = comparison, folder
        self.records = records or folder / "records"
        self.tuned_by: Runner | None = None  # the cell that is tuned for this one
        self._prepared: dict[str, Prepared] = {}
        self._began = time.time()

    def prepared(self, recipe: Recipe) -> Prepared:
        """Data and tokenizer of a recipe, shared by all runs that ask for the same."""
        parts = recipe.to_dict()
        key = str({name: parts[name] for name in ("data", "labels", "tokenizer", "objective")})
        if key not in self._prepared:
            self._prepared[key] = prepare(recipe)
        return self._prepared[key]

    def check(self) -> None:
        """Builds every run's data, schedule and configuration, and reads every record that is there.

        What can't be run, and what was made by another recipe, is so said before anything is trained or written.
        """
        horizons = {}
        for arm in self.comparison.arms:
            config = self._check_recipe(self.comparison.recipe(arm, self.comparison.seeds[0]))
            horizons[arm] = prediction_horizon(config)
            trials = trial_recipes(self.comparison, arm) if self.comparison.tune is not None else []
            paths = [self.trial_path(arm, number) for number in range(len(trials))]
            for path, (_, recipe) in zip(paths, trials, strict=True):
                self._check_recipe(recipe)
                self._is_done(path, recipe)
            for seed in self.comparison.seeds_of(arm) if self._is_tuned(arm) else ():
                path = self.record_path(arm, seed)
                if path.exists():
                    self._is_done(path, self.final_recipe(arm, seed))
        if len(set(horizons.values())) > 1:
            found = ", ".join(f"{arm} {horizon}" for arm, horizon in horizons.items())
            raise InputError(f"arms: prediction_horizon differs ({found}); their losses are not of the same task")

    def check_folders(self, keep_in: Path | None = None) -> None:
        """Raises InputError where something that is not from here would be written over."""
        check_comparison(self.folder, self.records, self._file_names(), keep_in)

    def _file_names(self) -> tuple[str, ...]:
        """The figures, samples and cards that a report may have."""
        cards = [name for arm in self.comparison.arms for name in (f"{arm}.md", architecture_file(arm))]
        return (LOSS_CURVES, COST_QUALITY, *GROWTH_PLOTS, *FIGURES, SAMPLES, *cards)

    def skipped(self) -> list[str]:
        """A line for each reading of the data so far that left bad rows out."""
        corpora = [prepared.corpus for prepared in self._prepared.values()]
        return [f"{c.name}: {skipped_rows(c.skipped)}" for c in corpora if isinstance(c, LabelledCorpus) and c.skipped]

    def _check_recipe(self, recipe: Recipe) -> PreTrainedConfig:
        setup = set_up(recipe, self.prepared(recipe))
        check_head(recipe, setup.prepared)
        if setup.growing.stages:
            setup.growing.check(setup.growing.at(0))
        return setup.config

    def check_records(self) -> None:
        """`check` for who runs nothing: compares the records of runs with their recipes, without reading any data."""
        for arm, seed in itertools.product(self.comparison.arms, self.comparison.seeds):
            path = self.record_path(arm, seed)
            if path.exists():
                _check_recorded_recipe(path, self.final_recipe(arm, seed))

    def _is_tuned(self, arm: str) -> bool:
        """Whether all trials that an arm's settings come from have been made."""
        if self.tuned_by is not None:
            return self.tuned_by._is_tuned(arm)
        count = self.comparison.tune["trials"] if self.comparison.tune is not None else 0
        return all(self.trial_path(arm, number).exists() for number in range(count))

    def trial_path(self, arm: str, number: int) -> Path:
        """The record of a trial."""
        return self.records / f"tune-{arm}-{number}.json"

    def record_path(self, arm: str, seed: int) -> Path:
        """The record of a compared run."""
        return self.records / f"{arm}-seed{seed}.json"

    def tune(self, arms: list[str], say: Callable[[str], None] = print) -> bool:
        """Runs the trials that have no record yet and nobody else runs; returns whether all have their record."""
        whole = True
        for arm in arms if self.comparison.tune is not None else ():
            for number, (settings, recipe) in enumerate(trial_recipes(self.comparison, arm)):
                path, trial = self.trial_path(arm, number), (arm, number, settings, recipe, say)
                whole = self._alone(path, recipe, functools.partial(self._trial, path, *trial)) and whole
        return whole

    def _alone(self, path: Path, recipe: Recipe, work: Callable[[], None]) -> bool:
        """Does what leads to a record unless it is there; returns False where another process is at it."""
        if told(path.exists()):
            return self._is_done(path, recipe)
        with held_by_one(path.with_suffix(LEASE)) as mine:
            if mine and not told(path.exists()):  # another one may just have finished
                work()
            return mine

    def _trial(
        self, path: Path, arm: str, number: int, settings: Settings, recipe: Recipe, say: Callable[[str], None]
    ) -> None:
        say(f"tuning {arm}, trial {number}: {settings}")
        prepared = self.prepared(recipe)
        trial = Trial(
            trial=number,
            settings=settings,
            seed=recipe.training.seed,
            recipe_fingerprint=recipe_fingerprint(identity(recipe, prepared)),
            tokens=None,
            validation_loss=None,
        )
        try:
            record = run_recipe(recipe, self.trial_folder(arm, number), prepared)
            found, selection = record.last.validation, record.selection
            if selection is not None:
                value = selected(selection.metric, found, prepared.objective)
                selection = dataclasses.replace(selection, value=value)
            scores = {"tokens": record.tokens, "validation_loss": found["loss"], "selection": selection}
            trial = dataclasses.replace(trial, **scores)
        except DivergedError as error:
            say(str(error))
        write_json(path, trial.to_json())

    def trials(self) -> dict[str, list[Trial]] | None:
        """All trials of every arm, the chosen one marked. None where there is nothing to tune."""
        if self.comparison.tune is None:
            return None
        count = self.comparison.tune["trials"]
        paths = {arm: [self.trial_path(arm, number) for number in range(count)] for arm in self.comparison.arms}
        return {
            arm: with_choice([read(Trial, path) for path in every if path.exists()]) for arm, every in paths.items()
        }

    def chosen(self, arm: str) -> Settings:
        """The settings with the lowest validation loss, here or in the cell that is tuned for this one.

        Raises InputError while trials are missing.
        """
        if self.tuned_by is not None:
            return self.tuned_by.chosen(arm)
        trials = self.trials()
        if trials is None:
            return {}
        if len(trials[arm]) < self.comparison.tune["trials"]:
            raise InputError(f"tune: arm {arm} has {len(trials[arm])} of {self.comparison.tune['trials']} trials")
        settings = next((trial.settings for trial in trials[arm] if trial.chosen), None)
        if settings is None:
            raise InputError(f"tune: every trial of arm {arm} diverged; lower the learning rates in tune.space")
        return settings

    def final_recipe(self, arm: str, seed: int) -> Recipe:
        """The recipe of a compared run, tuned settings included."""
        return self.comparison.recipe(arm, seed, self.chosen(arm))

    def run(self, arms: list[str], seeds: list[int], say: Callable[[str], None] = print, waits: bool = False) -> bool:
        """Runs what has no record yet and nobody else runs, seed by seed, so that an early stop leaves whole pairs.

        Returns whether there is nothing to wait for: no run that another process is at, no arm that is being tuned; if
        it `waits`, no arm that isn't tuned yet.
        """
        whole = True
        for seed, arm in itertools.product(seeds, arms):
            if seed not in self.comparison.seeds_of(arm):
                continue
            if told(not self._is_tuned(arm) and (waits or self._is_being_tuned(arm))):
                whole = False
                continue
            recipe, path = self.final_recipe(arm, seed), self.record_path(arm, seed)
            if not told(self._has_diverged(arm, seed)):
                whole = self._alone(path, recipe, functools.partial(self._run, path, arm, seed, recipe, say)) and whole
        return whole

    def _run(self, path: Path, arm: str, seed: int, recipe: Recipe, say: Callable[[str], None]) -> None:
        say(f"running {arm}, seed {seed}")
        try:
            record = run_recipe(recipe, self.run_folder(arm, seed), self.prepared(recipe))
        except DivergedError as error:  # stays among the missing runs; the others go on
            (self.run_folder(arm, seed) / DIVERGED).write_text(f"{error}\n", encoding="utf-8")
            say(f"{arm}, seed {seed}: {error}")
            return
        write_json(path, dataclasses.replace(record, comparison=self.comparison.name).to_json())

    def _has_diverged(self, arm: str, seed: int) -> bool:
        """Whether a run has diverged since this process began, here or in another one: it would again."""
        with contextlib.suppress(FileNotFoundError):
            return (self.run_folder(arm, seed) / DIVERGED).stat().st_mtime >= self._began
        return False

    def _is_being_tuned(self, arm: str) -> bool:
        """Whether another process is at a trial that the arm's settings depend on."""
        if self.tuned_by is not None:
            return self.tuned_by._is_being_tuned(arm)
        count = self.comparison.tune["trials"] if self.comparison.tune is not None else 0
        leases = [self.trial_path(arm, number).with_suffix(LEASE) for number in range(count)]
        return any(holder(lease) is not None for lease in leases)

    def trial_folder(self, arm: str, number: int) -> Path:
        """Where a trial lies."""
        return self.folder / "tune" / arm / f"trial-{number}"

    def run_folder(self, arm: str, seed: int) -> Path:
        """Where a compared run lies."""
        return self.folder / "runs" / arm / f"seed-{seed}"

    def _is_done(self, path: Path, recipe: Recipe) -> bool:
        """Whether `path` is the record of exactly this recipe. Raises InputError where it is of another one."""
        if not path.exists():
            return False
        if _fingerprint_in(path) != recipe_fingerprint(identity(recipe, self.prepared(recipe))):
            raise InputError(_FOREIGN.format(path))
        return True

    # ---- after the runs ----------------------------------------------------------------------------------------

    def finished(self) -> Iterator[RunRecord]:
        """The records of all finished runs of this comparison."""
        for arm, seed in itertools.product(self.comparison.arms, self.comparison.seeds):
            path = self.record_path(arm, seed)
            if path.exists():
                yield read(RunRecord, path)

    def missing(self) -> list[str]:
        """The runs that have no record."""
        every = ((arm, seed) for arm in self.comparison.arms for seed in self.comparison.seeds_of(arm))
        return [f"{arm}-seed{seed}" for arm, seed in every if not self.record_path(arm, seed).exists()]

    def write_floor(self, say: Callable[[str], None] = print) -> None:
        """The floors of which no record is there: n-grams of language models, another of classifiers if asked for."""
        recipe = self.comparison.recipe(self.comparison.baseline, self.comparison.seeds[0])
        path, counted = self.records / FLOOR_RECORD, self.records / NGRAMS
        if self.comparison.floor and not path.exists():
            say("the floor: TF-IDF and logistic regression")
            write_json(path, floor_record(self.prepared(recipe), recipe.objective.bootstrap_samples).to_json())
        if not counted.exists() and has_ngram_floor(prepared := self.prepared(recipe), recipe):
            say("the floor: n-grams")
            write_json(counted, ngram_floor(prepared, recipe).to_json())

    def time(self, say: Callable[[str], None] = print, again: bool = False) -> None:
        """The separate quiet run that all speed figures come from."""
        if (self.records / "timing.json").exists() and not again:
            return

        say(f"timing {len(self.comparison.arms)} arms in turns")
        recipes = {arm: self.final_recipe(arm, self.comparison.seeds[0]) for arm in self.comparison.arms}
        timed = quiet_run(recipes, self.prepared, self.comparison.timing_rounds)
        write_json(self.records / "timing.json", timed.to_json())
        if doubt := unsteady_note({arm: unsteadiness(figures) for arm, figures in timed.arms.items()}):
            say(f"{doubt} `--only time --time_again` repeats it.")

    def has_results(self) -> bool:
        """Whether the baseline has a finished run, without which nothing can be said."""
        return any(self.record_path(self.comparison.baseline, seed).exists() for seed in self.comparison.seeds)

    def results(self) -> Results:
        """Everything that the finished runs say. Raises InputError where they cannot be compared."""
        own, timing, floor, ngrams, pairs = (
            self.comparison,
            *(self.records / name for name in ("timing.json", FLOOR_RECORD, NGRAMS, PAIRS)),
        )
        try:
            return build_results(
                own.compared(),
                list(self.finished()),
                read(Timing, timing) if timing.exists() else None,
                self.trials(),
                read(Floor, floor) if floor.exists() else None,
                read(NGramFloor, ngrams) if ngrams.exists() else None,
                read_pairs(pairs),
            )
        except ValueError as error:
            raise InputError(f"{self.records}: {error}") from None

    def report(self, draw: bool = True) -> Results:
        """Writes results.json, report.md, what the models wrote, a card per arm, and the figures; returns the results.

        Without `draw` there are no figures; all else is as with them.
        """
        own = self.comparison
        update_pairs(self.records / PAIRS, list(self.finished()), self.run_folder, own.baseline, own.metric)
        results = self.results()
        write_json(self.folder / "results.json", results.to_json())
        if draw:
            self._draw(results)
        (self.folder / "report.md").write_text(report_markdown(results), encoding="utf-8")
        (self.folder / "table.txt").write_text(console_table(results) + "\n", encoding="utf-8")
        (self.folder / SAMPLES).unlink(missing_ok=True)
        if has_written(results):
            (self.folder / SAMPLES).write_text(samples_markdown(results), encoding="utf-8")
        for arm in results.arms:
            card = model_card(results, arm, _plots_of(results, arm))
            (self.folder / f"{arm}.md").write_text(card, encoding="utf-8")
        return results

    def figures(self, results: Results) -> list[str]:
        """The names of the figures that `report` draws of these results."""
        return list(dict.fromkeys(name for arm in results.arms for name in _plots_of(results, arm)))

    def _draw(self, results: Results) -> None:
        plot_loss_curves(results, self.folder / LOSS_CURVES)
        plot_cost_quality(results, self.folder / COST_QUALITY)
        plot_growing(results, self.folder)
        plot_classification(results, self.folder)
        for arm, row in results.arms.items():
            plot_architecture(row, self.folder / architecture_file(arm))

    def export(self, results: Results, say: Callable[[str], None] = print) -> None:
        """One Hub-ready folder per arm, from the seed that was best on validation."""
        for arm, row in results.arms.items():
            source = self.run_folder(arm, row.best_seed) / "final"
            if not source.is_dir():
                say(f"{arm}: the weights of seed {row.best_seed} are not here; its folder was not exported")
                continue
            plots = {name: self.folder / name for name in _plots_of(results, arm)}
            card, folder = (self.folder / f"{arm}.md").read_text(encoding="utf-8"), self.folder / "models" / arm
            export_folder(source, folder, card, {"results.json": results.to_json()}, plots)
            if changed := changed_files(folder):
                say(f"{folder}: left as they are, having been edited or added: {', '.join(changed)}")

    def keep(self, target: Path, records: Path | None = None) -> None:
        """Copies what is worth committing to `target`: report, results, plots, samples, records, each arm's card.

        Records go to `records` (default: `target`/records).
        """
        records = records or target / "records"
        copy_present(self.folder, target, ("results.json", "report.md", *self._file_names()))
        if self.records.resolve() != records.resolve():
            shutil.copytree(self.records, records, dirs_exist_ok=True)


@contextlib.contextmanager
def held_by_one(lease: Path) -> Iterator[bool]:
    """Holds a lease for all processes of this run, and says in all of them whether it could be had."""
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(leased(lease)) if PartialState().is_main_process else None
        yield told(mine)


def _plots_of(results: Results, arm: str) -> tuple[str, ...]:
    """The figures that an arm's card shows."""
    own = (architecture_file(arm),) if has_figure(results.arms[arm]) else ()
    return (*own, LOSS_CURVES, COST_QUALITY, *drawn_plots(results), *drawn_figures(results))


def _fingerprint_in(path: Path) -> str | None:
    """The fingerprint of the recipe that made a record of a run or of a trial; None in any other file."""
    content = read_json(path)
    return content.get("recipe_fingerprint") if isinstance(content, dict) else None


def _check_recorded_recipe(path: Path, recipe: Recipe) -> None:
    """Raises InputError unless the record's own copy of its recipe decides the same as `recipe`."""
    recorded = recipe_from_dict(read(RunRecord, path).recipe.to_json(), str(path))
    for section in SECTIONS:
        old, new = (vars(getattr(r, section)) for r in (recorded, recipe))
        if any(old[name] != new[name] for name in new if name not in BOOKKEEPING):
            raise InputError(_FOREIGN.format(path))
