# Copyright 2026 The hf_variants authors. MIT licence.
"""Recipes: what is read, what is converted, and what is refused with which words."""

import dataclasses
import resource
import shlex

import pytest
import torch
import yaml
from safetensors.torch import save_file

from hf_variants.experiments.checking import InputError, Range, parse_overrides
from hf_variants.experiments.recipes.flags import command, flags_as_recipe, help_of, recipe_flags
from hf_variants.experiments.recipes.programs import TRACEBACK, OneLineParser, called, one_line_errors
from hf_variants.experiments.recipes.recipe import SECTIONS, merge, read_yaml, recipe_from_dict, set_dotted
from hf_variants.experiments.recipes.sections import TrainingArguments
from hf_variants.experiments.recipes.shipped import COMPARISONS, RECIPES, find_file
from tests.helpers.places import TRAINING

GOOD = {"model": {"model_type": "minbert"}, "data": {"dataset": "builtin/pydoc"}, "training": {"max_steps": 3}}


def with_changes(**sections):
    return merge(GOOD, sections)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"learning_rat": 1}}, "training: unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"trainings": {}}, "unknown key 'trainings'; did you mean 'training'"),
        (
            {"training": {"schedule": "cosin"}},
            "training.schedule: 'cosin'; allowed: constant_with_decay, linear, cosine",
        ),
        ({"training": {"max_tokens": 5}}, "exactly one of max_tokens, max_steps, max_seconds, max_epochs"),
        ({"training": {"max_steps": 0}}, "training.max_steps: 0; allowed: above 0"),
        ({"training": {"max_steps": 2.5}}, "training.max_steps: 2.5; int is expected"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate: 'fast'; a number is expected"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate: -1"),
        ({"training": {"budgets": [0.5]}}, "rising shares in"),
        ({"training": {"budgets": [float("nan"), 1.0]}}, "training.budgets: nan; a finite number is expected"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate: inf; a finite number is expected"),
        ({"training": {"learning_rate": 10**400}}, "training.learning_rate: a number this large"),
        ({"training": {"max_steps": 10**30}}, "training.max_steps: a number this large; allowed: up to 1e+15"),
        ({"training": {"max_steps": "1e400"}}, "training.max_steps: inf; a finite number is expected"),
        ({"training": {"batch_size": 10**9}}, "training.batch_size: 1000000000; allowed: from 1 to 1000000"),
        ({"training": {"seed": 2**32}}, "training.seed: 4294967296; allowed: from 0 to 4294967295"),
        ({"training": {"adam_beta2": 1}}, "training.adam_beta2: 1.0"),
        ({"training": {"adam_epsilon": -1e-8}}, "training.adam_epsilon: -1e-08"),
        ({"training": {"max_grad_norm": 0}}, "training.max_grad_norm: 0.0; allowed: above 0"),
        ({"data": {"split_fractions": [0.5, float("nan"), 0.1]}}, "data.split_fractions: nan"),
        ({"data": {"max_eval_blocks": -3}}, "data.max_eval_blocks: -3; allowed: from 1"),
        ({"objective": {"eval_seed": -1}}, "objective.eval_seed: -1"),
        ({"training": {"budgets": [0.5, 1.0], "schedule": "linear"}}, "several budgets need"),
        ({"training": {"gradient_accumulation_steps": 3}}, "3 does not divide batch_size 64"),
        ({"model": {"name_or_path": "x"}}, "exactly one of model_type and name_or_path"),
        ({"model": {"pretrained": True}}, "needs model.name_or_path"),
        ({"model": "minbert"}, "model must be a mapping"),
        ({"data": {"split_fractions": [0.5, 0.5]}}, "three shares"),
        ({"data": {"data_fraction": 0}}, "data.data_fraction: 0"),
        ({"data": {"eval_stride": 128}}, "data.eval_stride: 128; allowed: from 1 to 127"),
        ({"data": {"answer_column": "a"}}, "give both question_column and answer_column, or neither"),
        ({"tokenizer": {"tokenizer": "bpe", "vocab_size": 256}}, "tokenizer.vocab_size: 256; allowed: from 257 to"),
        ({"objective": {"sample_tokens": 0}}, "objective.sample_tokens: 0"),
        ({"objective": {"samples": -1}}, "objective.samples: -1"),
        ({"objective": {"mask_probability": 1.5}}, "objective.mask_probability: 1.5"),
        ({"objective": {"mask_replace": 0.9, "random_replace": 0.2}}, "objective.random_replace: 0.2"),
    ],
)
def test_bad_recipes_are_refused_in_words(changes, words):
    with pytest.raises(InputError) as error:
        recipe_from_dict(with_changes(**changes))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_yaml_numbers_written_as_1e_3_are_numbers():
    recipe = recipe_from_dict(with_changes(training=yaml.safe_load("{learning_rate: 1e-3, max_steps: 1e3}")))
    assert recipe.training.learning_rate == 1e-3 and recipe.training.max_steps == 1000


def test_a_bare_no_in_yaml_is_the_word_no():
    assert (
        recipe_from_dict(with_changes(training=yaml.safe_load("mixed_precision: no"))).training.mixed_precision == "no"
    )


def test_flags_win_over_the_file(tmp_path):
    parser = OneLineParser()
    recipe_flags(parser)
    given = parser.parse_args(
        ["--learning_rate", "2e-3", "--overrides", "hidden_size=32,norm_position=pre", "--budgets", "0.5", "1"]
    )
    recipe = recipe_from_dict(merge(GOOD, flags_as_recipe(given)))
    assert recipe.training.learning_rate == 2e-3 and recipe.training.budgets == [0.5, 1.0]
    assert recipe.model.overrides == {"hidden_size": 32, "norm_position": "pre"}
    assert flags_as_recipe(parser.parse_args([])) == {}


def test_a_budget_on_the_command_line_replaces_that_of_the_file():
    parser = OneLineParser()
    parser.add_argument("--config")
    parser.add_argument("--output_dir")
    recipe_flags(parser)
    given = parser.parse_args(["--max_epochs", "2"])
    training = recipe_from_dict(merge(GOOD, flags_as_recipe(given))).training
    assert training.max_epochs == 2 and training.max_steps is None
    assert command("hf-variants train", given).endswith("--max_epochs 2.0")
    with pytest.raises(InputError, match="exactly one of"):
        recipe_from_dict(merge(GOOD, flags_as_recipe(parser.parse_args(["--max_epochs", "2", "--max_steps", "3"]))))


def test_the_command_that_makes_it_again_is_quoted():
    parser = OneLineParser()
    parser.add_argument("--config")
    parser.add_argument("--output_dir")
    recipe_flags(parser)
    flags = ["--config", "a.yaml", "--output_dir", "out", "--overrides", "hidden_size=32,norm_position=pre"]
    given = [*flags, "--sample_prompts", "To be, or", "x", "--max_steps", "3"]
    again = shlex.split(command(called(None, "train"), parser.parse_args(given)))
    assert again[:3] == ["accelerate", "launch", "training/train.py"]
    assert vars(parser.parse_args(again[3:])) == vars(parser.parse_args(given))


def test_overrides_are_read_as_yaml():
    assert parse_overrides("a=1, b=0.5,c=true,d=post") == {"a": 1, "b": 0.5, "c": True, "d": "post"}
    with pytest.raises(InputError, match="field=value"):
        parse_overrides("a")
    with pytest.raises(InputError, match="a value is not valid YAML"):
        parse_overrides("a=2026-02-30")


def test_merge_and_dotted_names():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    assert set_dotted({"a.b": 1, "a.c.d": 2}) == {"a": {"b": 1, "c": {"d": 2}}}


@pytest.mark.parametrize("settings", [{1: 2}, {"a": 1, "a.b": 2}])
def test_dotted_names_that_cannot_be_nested(settings):
    with pytest.raises(InputError, match="1: no field|a.b: 'a' has a value of its own"):
        set_dotted(settings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "mapping is expected"),
        ("a: 2026-02-30", "not valid YAML: day is out of range"),
        ("a: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("a: 0x" + "f" * 5000, "not valid YAML: Exceeds the limit"),
        ("a: " + "[" * 3000, "not valid YAML: it is nested too deep"),
        ("model: &a {overrides: *a}", "not valid YAML: Circular reference"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_broken_yaml(tmp_path, content, words):
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(InputError, match=words):
        read_yaml(tmp_path / "x.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.yaml: no such file"):
        read_yaml(tmp_path / "nothing.yaml")


def test_input_errors_become_one_line_and_exit_code_2(capsys):
    @one_line_errors
    def main():
        raise InputError("first\nsecond")

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and capsys.readouterr().err == "error: first second\n"


def test_a_full_disk_is_named(capsys):
    @one_line_errors
    def main():
        raise OSError(28, "No space left on device", "runs/x")

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "runs/x: No space left on device" in capsys.readouterr().err


def test_a_full_disk_is_named_where_weights_are_written(tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    @one_line_errors
    def main():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        try:
            save_file({"x": torch.zeros(1 << 19)}, tmp_path / "x.safetensors")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "File too large" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 8 PiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory\nframe 0")],
)
def test_too_little_memory_is_named(capsys, error):
    @one_line_errors
    def main():
        raise error

    with pytest.raises(SystemExit) as stop:
        main()
    written = capsys.readouterr().err
    assert stop.value.code == 2 and written.startswith("error: not enough memory: ") and "frame" not in written


@pytest.mark.parametrize("error", [KeyError, TypeError, AttributeError, IndexError, ValueError])
def test_bugs_are_not_hidden(error):
    @one_line_errors
    def main():
        raise error("a bug")

    with pytest.raises(error):
        main()


@pytest.mark.parametrize(("asked", "shown"), [("1", True), ("0", False), ("", False)])
def test_a_traceback_is_shown_on_demand_with_what_was_put_into_other_words(monkeypatch, capsys, asked, shown):
    @one_line_errors
    def main():
        try:
            {}["lost"]
        except KeyError:
            raise InputError("a line") from None

    monkeypatch.setenv(TRACEBACK, asked)
    with pytest.raises(SystemExit) as stop:
        main()
    written = capsys.readouterr().err
    assert stop.value.code == 2 and written.endswith("error: a line\n")
    assert ("Traceback" in written) == shown and ("KeyError: 'lost'" in written) == shown


@pytest.mark.parametrize(("module", "extra"), [("peft.tuners", "train"), ("plotly", "site")])
def test_a_missing_extra_is_named(capsys, module, extra):
    @one_line_errors
    def main():
        raise ModuleNotFoundError(name=module)

    with pytest.raises(SystemExit) as stop:
        main()
    package = module.split(".")[0]
    assert capsys.readouterr().err == f"error: {package} is not installed; pip install 'hf_variants[{extra}]'\n"
    assert stop.value.code == 2


def test_another_missing_module_is_no_extra():
    @one_line_errors
    def main():
        raise ModuleNotFoundError(name="of_the_user")

    with pytest.raises(ModuleNotFoundError):
        main()


def test_unknown_flags_are_one_line():
    with pytest.raises(InputError, match="unrecognized arguments: --no_such"):
        OneLineParser().parse_args(["--no_such"])


def test_defaults_are_valid_but_for_what_must_be_given():
    assert TrainingArguments(max_steps=1).learning_rate == 1e-3


# ---- ranges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (Range(1), (1, 10**9), (0, float("nan")), "from 1 up"),
        (Range(0, low_open=True), (1e-9,), (0, -1), "above 0"),
        (Range(0, 1), (0, 1, 0.5), (-0.1, 1.1), "from 0 to 1"),
        (Range(0, 1, low_open=True), (1,), (0,), "above 0 to 1"),
        (Range(0, 1, high_open=True), (0, 0.999), (1,), "from 0 to below 1"),
    ],
)
def test_ranges_hold_what_they_say(allowed, inside, outside, words):
    assert all(value in allowed for value in inside) and not any(value in allowed for value in outside)
    assert str(allowed) == words
    with pytest.raises(InputError, match=f"a.b: .*; allowed: {words}"):
        allowed.check("a.b", outside[0])


def declared() -> list[tuple[str, dataclasses.Field]]:
    return [(name, f) for name, cls in SECTIONS.items() for f in dataclasses.fields(cls) if f.metadata["allowed"]]


@pytest.mark.parametrize(("section", "field"), declared(), ids=lambda value: getattr(value, "name", value))
def test_a_declared_range_is_enforced_and_shown_by_help(section, field):
    parser = OneLineParser()
    recipe_flags(parser)
    shown = " ".join(parser.format_help().split())
    assert f"[{field.metadata['allowed']}" in " ".join(help_of(field).split()) and help_of(field)[:20] in shown
    wrong = field.metadata["allowed"].low - 1
    value = [wrong] if field.default_factory is not dataclasses.MISSING else wrong
    with pytest.raises(InputError, match=rf"{section}.{field.name}: -?\d+(\.0)?; allowed: "):
        recipe_from_dict(with_changes(**{section: {field.name: value}}))


def test_a_program_s_number_is_held_to_its_range_which_help_shows():
    parser = OneLineParser()
    parser.add_number("--rounds", int, Range(1), "rounds", 21)
    parser.add_number("--max_seconds", float, Range(0), "seconds")
    assert vars(parser.parse_args([])) == {"rounds": 21, "max_seconds": None}
    assert "rounds [from 1 up; default: 21]" in parser.format_help() and "[from 0 up]" in parser.format_help()
    for flags, words in (
        (["--rounds", "0"], "--rounds: 0; allowed: from 1"),
        (["--max_seconds", "nan"], "nan; allowed"),
    ):
        with pytest.raises(InputError, match=words):
            parser.parse_args(flags)


def test_numbers_without_a_declared_range_are_few():
    """A new number says what it may be, or is named here."""
    numbers = {f.name for cls in SECTIONS.values() for f in dataclasses.fields(cls) if "int" in str(f.type)
               or "float" in str(f.type)}  # fmt: skip
    assert numbers - {f.name for _, f in declared()} == {"keep_layers"}  # its end is the model's to say


def test_flags_of_one_name_are_spelled_with_either_line():
    parser = OneLineParser()
    recipe_flags(parser)
    given = parser.parse_args(
        ["--batch-size", "3", "--no-random_phase", "--language=a-b", "--any_of", "--join_splits", "false"]
    )
    assert vars(given) == {
        "batch_size": 3,
        "random_phase": False,
        "language": "a-b",
        "any_of": True,
        "join_splits": False,
    }
    with pytest.raises(InputError, match="'maybe'; allowed: true, yes, 1, false, no, 0"):
        parser.parse_args(["--any_of", "maybe"])


# ---- by name -------------------------------------------------------------------------------------------------------


def test_shipped_files_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file("demo", TRAINING, RECIPES) == TRAINING / "recipes" / "demo.yaml"
    assert find_file("demo", TRAINING, COMPARISONS) == TRAINING / "comparisons" / "demo.yaml"
    for path in ("some/demo", "demo.yaml"):
        assert str(find_file(path, TRAINING, RECIPES)) == path
    (tmp_path / "demo").write_text("{}")
    assert str(find_file("demo", TRAINING, RECIPES)) == "demo"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("minbert_pydocs", "did you mean minbert_pydoc"),
        ("conv_vs_gpt", "one of the comparisons: hf-variants compare --config conv_vs_gpt"),
        ("xyz", "hf-variants recipes"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_near_ones(name, words):
    with pytest.raises(InputError, match=words):
        find_file(name, TRAINING, RECIPES)
