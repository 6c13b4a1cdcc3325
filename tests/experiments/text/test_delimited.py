# Copyright 2026 The hf_variants authors. MIT licence.
"""Rows of CSV and TSV files, for texts and for labelled examples alike: none is shifted, filled up or swallowed."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled.tables import read_table
from hf_variants.experiments.text import delimited
from hf_variants.experiments.text.files import read_rows

BELOW = r"\(1 is the first below the header\)"
Reader = Callable[[Path, list[str]], list[tuple[str, ...]]]


def of_texts(path: Path, columns: list[str]) -> list[tuple[str, ...]]:
    return list(read_rows(path, columns))


def of_examples(path: Path, columns: list[str]) -> list[tuple[str, ...]]:
    table = read_table(path, columns)
    table.require(columns)
    return table.rows(columns)


@pytest.fixture(params=[of_texts, of_examples])
def read(request) -> Reader:
    return request.param


def write(folder: Path, kind: str, *rows: str) -> Path:
    """A file of these rows, in which a comma stands for what separates the fields."""
    path = folder / f"a.{kind}"
    text = "".join(f"{row}\n" for row in rows)
    path.write_text(text.replace(",", "\t") if kind == "tsv" else text, newline="")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["text,label", "a fox,0,"], f"row 1 {BELOW}: 3 fields, the header has 2"),
        (["text,label", "a fox,0", "a dog"], f"row 2 {BELOW}: 1 fields, the header has 2"),
        (["text,label", "a fox,0", "", "a dog"], f"row 3 {BELOW}: 1 fields, the header has 2"),
        (["text,label,", "a fox,0"], f"row 1 {BELOW}: 2 fields, the header has 3"),
        (["text,label,text", "a fox,0,b"], "column 'text' stands there 2 times"),
        (["", "text,label"], "the first line is empty; a header with the names of the columns is expected"),
        ([], "the first line is empty"),
        (["words,label", "a fox,0"], "no column 'text'; there are: words, label"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, read, kind, rows, words):
    path = write(tmp_path, kind, *rows)
    with pytest.raises(InputError, match=f"a.{kind}: {words}") as error:
        read(path, ["text"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_rows_and_ends_of_lines_say_nothing(tmp_path, read, kind, end):
    path = write(tmp_path, kind, "text,label", "a fox,0", "", "a dog,1")
    path.write_text("\ufeff" + path.read_text().replace("\n", end).removesuffix(end), newline="")
    assert read(path, ["text", "label"]) == [("a fox", "0"), ("a dog", "1")]


@pytest.mark.parametrize(
    ("kind", "content"), [("csv", b"text,n\na,0\nb\xff,1\n"), ("tsv", b"text\tn\na\t0\nb\xff\t1\n")]
)
def test_bytes_that_are_not_utf8_are_named_with_their_row(tmp_path, read, kind, content):
    (tmp_path / f"a.{kind}").write_bytes(content)
    with pytest.raises(InputError, match=f"not UTF-8 at byte 12, in row 2 {BELOW}"):
        read(tmp_path / f"a.{kind}", ["text"])
    (tmp_path / f"a.{kind}").write_bytes(content[:2] + b"\xff" + content[2:])
    with pytest.raises(InputError, match="not UTF-8 at byte 2, in the header"):
        read(tmp_path / f"a.{kind}", ["text"])


# ---- quotes --------------------------------------------------------------------------------------------------------


def report(opens: int, closes: int, count: int = 100) -> list[str]:
    """Rows of which one begins with a quotation mark and a later one ends with it, as written without quoting."""
    texts = {opens: '"We are glad , he said on Monday .', closes: 'That is all we know about it . "'}
    # a comma as it stands in English would make another field of a CSV file
    return [f"{texts.get(n, f'Sentence {n} .').replace(' ,', ';')},{n % 2}" for n in range(1, count + 1)]


@pytest.mark.parametrize(("opens", "closes"), [(11, 91), (11, 12), (1, 100), (3, 5)])
def test_a_quotation_mark_swallows_no_rows(tmp_path, read, opens, closes):
    rows = report(opens, closes)
    found = read(write(tmp_path, "tsv", "text,label", *rows), ["text", "label"])
    assert found == [tuple(row.rsplit(",", 1)) for row in rows]
    path, lines = write(tmp_path, "csv", "text,label", *rows), closes - opens + 1
    with pytest.raises(InputError, match=f"a.csv: row {opens} {BELOW}: spans {lines} lines, each of which looks like"):
        read(path, ["text"])


def test_a_quotation_mark_without_a_second_one_is_named(tmp_path, read):
    rows = [row.replace('it . "', "it .") for row in report(11, 91)]
    with pytest.raises(InputError, match=f"row 11 {BELOW}: unexpected end of data; double quotes enclose a field"):
        read(write(tmp_path, "csv", "text,label", *rows), ["text"])
    rows[90] = rows[90].replace("it .", 'it" .')
    with pytest.raises(InputError, match=f"row 11 {BELOW}: .* expected after '\"'; double quotes enclose a field"):
        read(write(tmp_path, "csv", "text,label", *rows), ["text"])


def test_no_more_than_so_many_lines_are_held(tmp_path, read, monkeypatch):
    monkeypatch.setattr(delimited, "MOST_ROWS_IN_ONE", 20)
    with pytest.raises(InputError, match=f"row 11 {BELOW}: spans more than 20 lines"):
        read(write(tmp_path, "csv", "text,label", *report(11, 91)), ["text"])


LEGAL = [
    ("Dear John,\nyours,\nMary", "1"),  # lines with a comma each
    ("Hello, world\nbye, world", "1"),
    ("Hello, world\nbye", "good"),
    ("a poem\n\nof one\nword", "0"),
    ('she said "no"\nand "yes"', "1"),
    ("x,y\n1,2\n3,4\n", "a table"),
    ("ends in a line\r\n", "0"),
]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_quoted_field_may_span_lines(tmp_path, read, quoting):
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, quoting=quoting).writerows([("text", "label"), *LEGAL])
    assert read(tmp_path / "a.csv", ["text", "label"]) == LEGAL
    with (tmp_path / "one.csv").open("w", newline="") as file:
        csv.writer(file, quoting=quoting).writerows([("text",), *((text,) for text, _ in LEGAL)])
    assert read(tmp_path / "one.csv", ["text"]) == [(text,) for text, _ in LEGAL]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))), min_size=1))
def test_what_a_writer_encloses_comes_back_from_both_readers(tmp_path, rows):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text", "other"), *rows])
    before = csv.field_size_limit()
    for read in (of_texts, of_examples):
        assert read(tmp_path / "a.csv", ["text", "other"]) == rows
    assert csv.field_size_limit() == before


def test_a_field_of_a_tsv_file_that_someone_has_quoted_is_told(tmp_path, read, caplog):
    (folder := tmp_path / read.__name__).mkdir()
    path = write(folder, "tsv", "text,label", '"a ""quote""",1')
    assert read(path, ["text"]) == [('"a ""quote"""',)]
    assert 'a.tsv: "a ""quote""" is taken as it stands; a .tsv file knows no quotes' in caplog.text
