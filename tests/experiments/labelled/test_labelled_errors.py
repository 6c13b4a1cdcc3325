# Copyright 2026 The hf_variants authors. MIT licence.
"""What is wrong with labelled data is said in one line, with file and row, or skipped and counted where asked for."""

import pandas
import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled.corpus import load_labelled
from hf_variants.experiments.recipes.flags import flags_as_recipe, recipe_flags
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.programs import OneLineParser
from hf_variants.experiments.recipes.sections import DataArguments
from tests.helpers.labelled_tables import folder, load, table, write

BELOW = "(1 is the first below the header)"
GOOD = "text,label\none,0\ntwo,1\n"


@pytest.mark.parametrize(
    ("name", "content", "settings", "words"),
    [
        ("a.csv", GOOD, {"label_column": "class"}, "a.csv: no column 'class'; there are: text, label"),
        ("a.csv", GOOD, {"text_column": "body"}, "a.csv: no column 'body'; there are: text, label"),
        ("a.csv", GOOD, {"pair_column": "text"}, "labels.pair_column: 'text' is data.text_column; allowed: another"),
        ("a.csv", GOOD, {"pair_column": "b"}, "a.csv: no column 'b'; there are: text, label"),
        ("a.jsonl", '{"t": "a"}\n{"u": 1}', {}, "a.jsonl: no column 'text'; there are: t, u"),
        ("a.csv", GOOD + "three,-1\n", {}, f"row 3 {BELOW}: label -1; allowed: 0 to 1"),
        ("a.csv", GOOD + "three,2\n", {"label_names": ["n", "p"]}, f"row 3 {BELOW}: label 2; allowed: 0 to 1"),
        ("a.csv", GOOD + "three,\n", {}, f"row 3 {BELOW}: the label is missing"),
        ("a.csv", GOOD + "three,nan\n", {}, f"row 3 {BELOW}: label nan is no whole number"),
        ("a.csv", GOOD + "three,inf\n", {}, f"row 3 {BELOW}: label inf is no whole number"),
        ("a.csv", GOOD + "3,NaN\n", {"problem_type": "regression"}, f"row 3 {BELOW}: label nan is not finite"),
        ("a.csv", GOOD + "3,-inf\n", {"problem_type": "regression"}, f"row 3 {BELOW}: label -inf is not finite"),
        ("a.csv", GOOD + "3,1e39\n", {"problem_type": "regression"}, f"row 3 {BELOW}: label 1e+39 is too large"),
        ("a.csv", GOOD + "3,x\n", {"problem_type": "regression"}, f"row 3 {BELOW}: label 'x' is no number"),
        ("a.csv", GOOD + "three,pos\n", {}, f"row 3 {BELOW}: label 'pos' is a text, the others are numbers"),
        ("a.csv", "text,label\na,x\nb,y\nc,1\n", {}, f"row 3 {BELOW}: label 1 is a number, the others are texts"),
        ("a.csv", '\ufefftext,label\n"a\nb",0\n\n" ",1\n', {}, f"row 3 {BELOW}: the text in column 'text' is empty"),
        ("a.csv", 'text,label\nx,0\n"y\n",1\nz\n', {}, f"row 3 {BELOW}: 1 fields, the header has 2"),
        ("a.csv", 'text,label\n"x" y,0\n', {}, f"a.csv: row 1 {BELOW}: "),
        (
            "a.tsv",
            'text\tlabel\n"x\ty"\t0\n',
            {},
            f"a.tsv: row 1 {BELOW}: 3 fields, the header has 2; a .tsv file knows",
        ),
        ("a.csv", 'text,label\nx,0\n"never closed,1\n', {}, "double quotes enclose a field"),
        ("a.csv", "", {}, "the first line is empty; a header"),
        ("a.csv", "text,label,text\nx,0,y\n", {}, "column 'text' stands there 2 times"),
        ("a.csv", b'text,label\n"a\nb",0\nc\xff,1\n', {}, f"not UTF-8 at byte 20, in row 2 {BELOW}"),
        ("a.csv", b"te\xffxt,label\n", {}, "not UTF-8 at byte 2, in the header"),
        ("a.txt", b"0 ||| a\n1 ||| b\xe9\n", {}, "not UTF-8 at byte 15, in line 2"),
        (
            "a.txt",
            "0 ||| a\n\n1 || b\n",
            {},
            "a.txt: line 3: no ' ||| '; a text file of labelled data has lines `label",
        ),
        ("a.txt", "0 ||| a\n1 ||| b\n", {"label_columns": ["x"]}, "a.txt: no column 'x'; there are: label, text"),
        ("a.txt", "0 ||| a\n1 |||  \t\n", {}, "a.txt: line 2: the text in column 'text' is empty"),
        ("a.jsonl", '{"text": "a", "label": 0}\n[1]\n', {}, "a.jsonl: line 2: not a JSON object"),
        ("a.jsonl", '{"text": "a", "label": 0}\n{"text": 7, "label": 1}', {}, "line 2: text is expected in column"),
        (
            "a.jsonl",
            '{"text": "a", "label": 0}\n{"text": "b\\ud800", "label": 1}',
            {},
            "line 2: the text in column 'text' has",
        ),
        ("a.jsonl", '{"text": "a", "label": 0}\n{"text": "b"}\n', {}, "a.jsonl: line 2: the label is missing"),
        ("a.jsonl", '{"text": "a", "label": {"x": 1}}\n', {}, "column 'label' holds no label in any row"),
        ("a.jsonl", '{"text": "a", "label": 0}\n{"text": "b", "label": [1]}', {}, "line 2: label [1]; a number or a"),
        ("a.csv", "text,label\na,-3\nb,-2\n", {}, "holds -3; allowed: texts, or whole numbers from 0"),
        ("a.csv", GOOD + "three," + "x" * 999, {}, f"row 3 {BELOW}: label '" + "x" * 59 + " is a text"),
        ("a.csv", GOOD, {"label_names": ["1", "9" * 30]}, "a.csv: label 1e+30 is too large"),
        ("a.jsonl", '{"text": "a", "label": 0}\n{"text": "b", "label": 1' + "0" * 400 + "}", {}, "line 2: label 1"),
        ("a.jsonl", '{"text": "a", "label": 1' + "0" * 5000 + "}", {}, "a.jsonl: line 1: not a JSON object"),
        ("a.csv", "text,label\n", {}, "column 'label' holds no label in any row"),
        (
            "a.csv",
            "text,x,y\na,0,1\nb,2,0\n",
            {"label_columns": ["x", "y"]},
            "label 2 in column 'x'; allowed: 0 and 1",
        ),
        ("a.csv", "text,x,y\na,0,\n", {"label_columns": ["x", "y"]}, "the label is missing in column 'y'"),
        ("a.csv", "text,x,y\na,0,b\n", {"label_columns": ["x", "y"], "any_of": True}, "label 'b' in column 'y'"),
        (
            "a.jsonl",
            '{"text": "a", "l": [0]}\n{"text": "b", "l": 1}',
            {"label_list_column": "l"},
            "a list is expected",
        ),
        ("a.csv", 'text,l\na,"0,1"\nb,\n', {"label_list_column": "l"}, f"row 2 {BELOW}: the label is missing"),
        ("a.doc", "x", {}, "unknown kind of file; allowed: .txt"),
        ("a.parquet", "no table", {}, "a.parquet: "),
        ("a.jsonl.gz", "no gzip", {}, "a.jsonl.gz: "),
        ("a.csv", GOOD, {"question_column": "q"}, "give both question_column and answer_column"),
    ],
)
def test_bad_files(tmp_path, name, content, settings, words):
    with pytest.raises(InputError) as error:
        load(write(tmp_path / name, content), **settings)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_rows_of_parquet_count_from_0(tmp_path):
    content = table(20, label=pandas.array([0, 1, None, *[0, 1, 1] * 5, 0, 1], dtype="Int8"))
    with pytest.raises(InputError, match=r"a.parquet: row 2 \(0 is the first\): the label is missing \(labels.on_bad"):
        load(write(tmp_path / "a.parquet", content))
    assert load(tmp_path / "a.parquet", on_bad_row="skip", split_fractions=[0.5, 0.5, 0]).skipped == {"train": 1}


def test_bad_rows_are_skipped_and_counted(tmp_path):
    rows = "".join(f"t{i},{i % 2}\n" for i in range(40)) + " ,1\nx,7\ny,\nz,what\nw,0.5\nv,nan\n"
    corpus = load(
        folder(tmp_path, train="text,label\n" + rows, validation=GOOD), on_bad_row="skip", label_names=["n", "p"]
    )
    assert len(corpus.splits["train"]) == 40 and corpus.skipped == {"train": 6}
    assert corpus.describe()["skipped"] == {"train": 6}
    with pytest.raises(InputError, match="the validation split is empty: all 1 rows were bad"):
        load(folder(tmp_path, validation="text,label\nx,9\n"), on_bad_row="skip", label_names=["n", "p"])


def test_long_fields_and_no_train(tmp_path):
    long = "word " * 50_000
    corpus = load(write(tmp_path / "a.csv", table(100, text=[f"{long}{i}" for i in range(100)])))
    assert max(map(len, corpus.splits["train"].texts)) > 250_000
    (tmp_path / "f").mkdir()
    with pytest.raises(InputError, match="has no train split; there are: test"):
        load(folder(tmp_path / "f", test=table()))
    with pytest.raises(InputError, match="the test split is empty"):
        load(folder(tmp_path / "f", train=table(), test="text,label\n"))


def test_bad_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="built in with labels are: builtin/docstrings"):
        load("builtin/pydoc")
    with pytest.raises(InputError, match="builtin/docstrings: no column 'x'; there are: text, label"):
        load("builtin/docstrings", label_column="x")
    with pytest.raises(InputError, match="labelled text is read from text_column"):
        arguments = DataArguments(dataset="x", question_column="q", answer_column="a")
        load_labelled(arguments, LabelArguments())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"label_columns": ["a", "b"], "label_list_column": "c"}, "not both"),
        ({"label_columns": ["a", "a"]}, "labels.label_columns: 'a' stands there twice"),
        ({"label_names": ["a", "b", "a"]}, "labels.label_names: 'a' stands there twice"),
        ({"label_names": ["a"]}, "at least two names"),
        ({"label_names": [True, False]}, "labels.label_names: True; str is expected"),
        ({"any_of": True}, "labels.any_of: needs label_columns"),
        ({"any_of": True, "label_columns": ["a", "b"], "label_names": ["a", "b", "c"]}, "any_of makes two labels"),
        ({"label_columns": ["a", "b", "c"], "label_names": ["a", "b"]}, "2 names; label_columns has 3 columns"),
        ({"label_columns": ["a", "b"], "problem_type": "regression"}, "allowed: multi_label_classification"),
        ({"problem_type": "multi_label_classification"}, "allowed: single_label_classification, regression"),
        ({"problem_type": "ranking"}, "labels.problem_type: 'ranking'; allowed: single_label"),
        ({"problem_type": "regression", "label_names": ["a", "b"]}, "which has no names"),
        ({"on_bad_row": "ignore"}, "labels.on_bad_row: 'ignore'; allowed: error, skip"),
        ({"max_train_examples": 1}, "labels.max_train_examples: 1; allowed: from 2 up"),
    ],
)
def test_bad_arguments(settings, words):
    with pytest.raises(InputError) as error:
        LabelArguments(**settings)
    assert words in str(error.value)


def test_arguments_are_flags():
    flags = "--label_columns a b --any_of --on_bad_row skip --max_train_examples 5 --problem_type regression"
    parser = OneLineParser()
    recipe_flags(parser)
    with pytest.raises(InputError, match="regression from a, b; allowed: single_label_classification"):
        LabelArguments(**flags_as_recipe(parser.parse_args(flags.split()))["labels"])
    found = LabelArguments(**flags_as_recipe(parser.parse_args(flags.split()[:-2]))["labels"])
    assert found.label_columns == ["a", "b"] and found.any_of and found.max_train_examples == 5


# ---- ids that count from 1, and what no hint may lose --------------------------------------------------------------

NEWS = ["World", "Sports", "Business"]


def news(labels: list[int], count: int = 60) -> str:
    return "text,label\n" + "".join(f"text {n},{labels[n % len(labels)]}\n" for n in range(count))


@pytest.mark.parametrize("names", ["label_names", "labels.txt"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_ids_count_from_0_or_from_1(tmp_path, names, first, on_bad_row):
    labels = list(range(first, first + 3))
    folder(tmp_path, train=news(labels), validation=news(labels[:2]), test=news(labels))
    if names == "labels.txt":
        (tmp_path / names).write_text("\n".join(NEWS))
    corpus = load(tmp_path, on_bad_row=on_bad_row, **({"label_names": NEWS} if names == "label_names" else {}))
    assert corpus.label_names == NEWS and corpus.skipped == {}
    for split, examples in corpus.splits.items():
        wanted = [int(text.split()[1]) % (2 if split == "validation" else 3) for text in examples.texts]
        assert examples.labels.tolist() == wanted, split


def test_lists_of_ids_count_from_1_too(tmp_path):
    rows = "text,label\n" + "".join(f't{n},"[{n % 3 + 1}]"\n' for n in range(60))
    corpus = load(folder(tmp_path, train=rows, validation=rows), label_list_column="label", label_names=NEWS)
    assert corpus.splits["train"].labels[:3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_stray_label_is_bad_also_among_ids_from_1(tmp_path):
    rows = news([1, 2, 3], 200) + "odd,7\n"
    with pytest.raises(InputError, match=r"row 201 .*: label 7; allowed: 1 to 3 \(labels.on_bad_row: skip leaves"):
        load(write(tmp_path / "a.csv", rows), label_names=NEWS)
    assert load(tmp_path / "a.csv", label_names=NEWS, on_bad_row="skip").skipped == {"train": 1}


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        ([1, 3], {"label_names": NEWS}),
        ([0, 1, 2, 3], {"label_names": NEWS}),
        (["good", "bad", "so so"], {"label_names": ["good", "bad"]}),
        ([0, 1, 1, 0, "unknown"], {}),
    ],
)
def test_no_hint_would_lose_a_whole_class(tmp_path, labels, settings):
    with pytest.raises(InputError, match="rows have this label; labels.label_names lists what there may be") as error:
        load(write(tmp_path / "a.csv", news(labels)), **settings)
    assert "skip" not in str(error.value)


@pytest.mark.parametrize("cell", ["", "7", "what", "0.5", "nan"])
def test_a_rare_bad_label_may_be_skipped(tmp_path, cell):
    with pytest.raises(InputError, match=r"row 61 .*\(labels.on_bad_row: skip leaves such rows out\)"):
        load(write(tmp_path / "a.csv", news([0, 1]) + f"odd,{cell}\n"), label_names=["n", "p"])
