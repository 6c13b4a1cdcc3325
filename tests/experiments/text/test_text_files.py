# Copyright 2026 The hf_variants authors. MIT licence.
"""Files read row by row and piece by piece: the same text, and an error only where it is reached."""

import gzip
import json
from pathlib import Path

import pandas
import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.text import files as text_files
from hf_variants.experiments.text.files import read_pieces, read_rows, table_rows

TEXT = "naïve 日本 — end\r\nlast\n" * 3


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_no_character_is_lost_where_a_block_cuts_it(tmp_path, monkeypatch, block, suffix):
    monkeypatch.setattr(text_files, "BLOCK", block)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(TEXT.encode()) if suffix == ".txt.gz" else TEXT.encode())
    assert "".join(read_pieces(path)) == TEXT
    assert list(read_rows(path, ["text"])) == [(TEXT,)]


@pytest.mark.parametrize("block", [1, 4, 5, 100])
@pytest.mark.parametrize(("content", "place"), [(b"ok \xff", 3), ("日本".encode() + b"\x80", 6), (b"ab\xe6\x97", 2)])
def test_the_bad_byte_is_counted_from_the_beginning(tmp_path, monkeypatch, block, content, place):
    monkeypatch.setattr(text_files, "BLOCK", block)
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=f"a.txt: not UTF-8 at byte {place}"):
        list(read_pieces(tmp_path / "a.txt"))


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 100_000])
def test_json_that_python_refuses_to_read_is_named(tmp_path, value):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "n": ' + value + "}")
    with pytest.raises(InputError, match="a.jsonl: line 1: not a JSON object with a field 'text'"):
        list(read_rows(tmp_path / "a.jsonl", ["text"]))


def test_what_is_read_of_a_broken_file_before_it_breaks(tmp_path, monkeypatch):
    """Rows come as they are read: what follows them has not been looked at yet."""
    monkeypatch.setattr(text_files, "BLOCK", 40)
    lines = [json.dumps({"text": f"row {n}"}) for n in range(9)] + ["{"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = iter(read_rows(tmp_path / "a.jsonl", ["text"]))
    assert [next(rows)[0] for _ in range(9)] == [f"row {n}" for n in range(9)]
    with pytest.raises(InputError, match="a.jsonl: line 10: not a JSON object with a field 'text'"):
        next(rows)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-9])
    with pytest.raises(InputError, match="a.txt.gz: Compressed file ended"):
        list(read_pieces(tmp_path / "a.txt.gz"))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("rows", [2, 4096])
def test_tables_in_parts_are_whole(tmp_path, monkeypatch, suffix, rows):
    monkeypatch.setattr(text_files, "ROWS", rows)
    table = pandas.DataFrame({"n": [str(n) for n in range(5)], "text": ["a", "NA", "", "é\u2028x", "last"]})
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    elif suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table.to_dict("records")) + "\n")
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    assert list(read_rows(path, ["text", "n"])) == list(zip(table["text"], table["n"], strict=True))
    if suffix != ".jsonl":
        with pytest.raises(InputError, match=f"a{suffix}: no column 'body'; there are: n, text"):
            list(read_rows(path, ["body"]))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_what_is_no_such_table_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\n1,2")
    with pytest.raises(InputError, match=name) as error:
        list(read_rows(tmp_path / name, ["text"]))
    assert "\n" not in str(error.value)


def test_an_empty_table_still_needs_its_column(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\n")
    assert list(read_rows(tmp_path / "a.csv", ["text"])) == []
    with pytest.raises(InputError, match="no column 'body'"):
        list(read_rows(Path(tmp_path / "a.csv"), ["body"]))


@pytest.mark.parametrize(("name", "place"), [
    ("a.jsonl", "line 3"),
    ("a.csv", "row 2 (1 is the first below the header)"),
    ("a.parquet", "row 1 (0 is the first)"),
])  # fmt: skip
def test_a_row_knows_its_place_and_what_it_lacks(tmp_path, name, place):
    table = pandas.DataFrame({"text": ["a", "b"], "n": ["1", "2"]})
    if name == "a.jsonl":
        (tmp_path / name).write_text('{"text": "a"}\n\n{"text": "b", "n": "2"}\n')
    else:
        getattr(table, f"to_{name[2:]}")(tmp_path / name, index=False)
    rows = table_rows(tmp_path / name, ["n", "other", "text"], complete=False)
    assert [values[1:] for values in rows] == [(None, "a"), (None, "b")]
    assert rows.place == f"{tmp_path / name}: {place}" and rows.have == ["text", "n"]
    with pytest.raises(InputError, match="other"):
        list(table_rows(tmp_path / name, ["other"], complete=True))
