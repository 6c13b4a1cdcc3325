# Copyright 2026 The hf_variants authors. MIT licence.
"""The built-in labelled text: what is in it, and that it is neither trivial nor hopeless."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.labelled import docstrings
from hf_variants.experiments.labelled.corpus import LabelledCorpus, load_labelled
from hf_variants.experiments.labelled.docstrings import FAMILIES, MOST_CHARACTERS, _beginning, _texts, read_docstrings
from hf_variants.experiments.recipes.labels import LabelArguments
from hf_variants.experiments.recipes.sections import DataArguments


@pytest.fixture(scope="module")
def corpus() -> LabelledCorpus:
    return load_labelled(DataArguments(dataset="builtin/docstrings"), LabelArguments())


def test_the_corpus(corpus):
    assert corpus.label_names == sorted(FAMILIES) and corpus.problem_type == "single_label_classification"
    assert corpus.license == "PSF-2.0" and corpus.hub_id is None
    texts = [text for examples in corpus.splits.values() for text in examples.texts]
    assert len(texts) >= 1500 and len({text.casefold() for text in texts}) == len(texts)
    assert all(len(text) <= MOST_CHARACTERS and len(text.split()) >= 4 and "\n" not in text for text in texts)
    sizes = [len(corpus.splits[split]) for split in ("train", "validation", "test")]
    assert [round(size / sum(sizes), 2) for size in sizes] == [0.6, 0.2, 0.2]
    shares = corpus.describe()["splits"]["test"]["label_shares"]
    assert all(0.05 < share < 0.3 for share in shares.values())


@pytest.mark.slow
def test_it_is_the_same_in_another_process(corpus):
    program = (
        "from hf_variants.experiments.labelled.docstrings import read_docstrings; import hashlib; "
        "print(hashlib.sha256(repr(read_docstrings()[0].columns).encode()).hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.strip() == hashlib.sha256(repr(read_docstrings()[0].columns).encode()).hexdigest()


def test_words_alone_tell_much_but_not_all(corpus):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, validation = corpus.splits["train"], corpus.splits["validation"]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=300).fit(vectorizer.fit_transform(train.texts), train.labels)
    assert 0.6 < model.score(vectorizer.transform(validation.texts), validation.labels) < 0.95


def test_the_answer_is_masked():
    for name in ("zipfile", "urllib.parse", "asyncio.locks"):
        texts = list(_texts(name))
        parts = "|".join(name.split("."))
        assert len(texts) > 5 and not any(re.search(rf"\b({parts})\b", text, re.IGNORECASE) for text in texts)
    assert any("_" in text for text in _texts("zipfile"))
    assert list(_texts("no_such_module_anywhere")) == []


def test_modules_are_public_and_import_silently():
    modules = [name for names in FAMILIES.values() for name in names.split()]
    assert not [name for name, count in Counter(modules).items() if count > 1]
    assert all(name.partition(".")[0] in sys.stdlib_module_names and "._" not in f".{name}" for name in modules)
    command = [sys.executable, "-W", "error", "-c", f"import {', '.join(modules)}"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b""


def test_beginnings():
    assert _beginning("  One line\n    and another.\n\n    More.") == "One line and another."
    assert _beginning("f(x, [y]) -> z\n\nReturn z.") == _beginning("f(x)\nReturn z.") == "Return z."
    assert _beginning("Sort it. >>> sort(x)\n 1") == "Sort it." and _beginning(">>> f()") == _beginning("") == ""
    assert _beginning("A sentence. " * 40) == ("A sentence. " * 25).rstrip()
    assert _beginning("word " * 100) == ("word " * 60).rstrip()
    assert _beginning("x" * 400) == "x" * MOST_CHARACTERS


def test_without_docstrings(monkeypatch):
    monkeypatch.setattr(docstrings, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))
    with pytest.raises(InputError, match="python -OO has no docstrings"):
        read_docstrings()
