# Copyright 2026 The hf_variants authors. MIT licence.
"""The site: nothing on it is dead, its figures hold the numbers of results.json, and what is broken is named."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from hf_variants.experiments.checking import InputError
from hf_variants.experiments.figures.interactive import interactive_figures
from hf_variants.experiments.figures.plots import PALETTE
from hf_variants.experiments.pages.documents import DOCUMENTS
from hf_variants.experiments.pages.front_page import Entry, front_page
from hf_variants.experiments.pages.site import PLOTLY, build_site
from hf_variants.experiments.pages.site_text import to_html
from hf_variants.experiments.pages.sources import Sources
from hf_variants.experiments.results.contracts import Results
from tests.helpers.places import CARDS, ROOT
from training import make_site

DEMO = json.loads((CARDS / "demo" / "results.json").read_text(encoding="utf-8"))
PAGES = {"index.html", "claims.html", "LOG.html", "demo/report.html", "demo/residual.html", "demo/highway.html"}


class Page(HTMLParser):
    """What a page holds, by tag: the attributes of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.tags, self.words = path, [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The committed demo, and the pages over all comparisons as they are with this one alone."""
    folder = tmp_path_factory.mktemp("results")
    shutil.copytree(CARDS / "demo", folder / "demo", ignore=shutil.ignore_patterns("records"))
    entry = Entry("demo", DEMO["question"], Path("demo.yaml"), published=True)
    (folder / "README.md").write_text(front_page([entry], Sources(folder)), encoding="utf-8")
    (folder / "claims.md").write_text("# Claims\n\n## A1. Sizes\n\nSee [the results](README.md#demo).\n")
    (folder / "LOG.md").write_text("# Log\n\nDrawn from [these](demo/).\n\n![An arm](demo/cost_quality.png)\n")
    return folder


@pytest.fixture(scope="module")
def site(folder, tmp_path_factory):
    site = tmp_path_factory.mktemp("built") / "site"
    assert build_site(folder, site) == len(PAGES)
    return site


def check_site(site: Path) -> None:
    """Every target is a file of the site, or a link to the web; every fragment is an id there; pages are semantic."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    titles = set()
    for path, page in pages.items():
        assert len(page.every("h1")) == len(page.every("main")) == len(page.every("title")) == 1, path
        assert page.every("html") == [{"lang": "en"}] and page.every("nav"), path
        assert len(page.ids()) == len(set(page.ids())), path
        assert all(image["alt"] for image in page.every("img")), path
        charts = [attributes for attributes in page.every("div") if "data-figure" in attributes]
        assert any(PLOTLY in script["src"] for script in page.every("script")) == bool(charts), path
        titles.add("".join(page.words).split(" · hf_variants")[0])
        for tag, attributes in page.tags:
            for target in (attributes[name] for name in ("href", "src") if name in attributes):
                parts = urlsplit(target)
                if parts.scheme:
                    assert tag == "a" and parts.scheme == "https", (path, target)
                    continue
                to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                assert to.is_file() and to.is_relative_to(site.resolve()), (path, target)
                assert not parts.fragment or parts.fragment in pages[to].ids(), (path, target)
    assert len(titles) == len(pages) and len(list(site.rglob(PLOTLY))) == 1


def files_of(site):
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_no_link_is_dead(site):
    check_site(site)
    assert {str(path.relative_to(site)) for path in site.rglob("*.html")} == PAGES


def test_the_front_page_leads_to_the_curves_and_a_text_shows_its_image(site):
    links = [link["href"] for link in Page(site / "index.html").every("a")]
    assert {"demo/report.html#loss_curves.png", "demo/report.html", "demo/results.json", "#demo"} <= set(links)
    log = Page(site / "LOG.html")
    assert log.every("img")[0]["src"] == "demo/cost_quality.png"
    assert "demo/report.html" in [link["href"] for link in log.every("a")]


def test_a_cards_header_is_a_table_at_its_end(site):
    words = "".join(Page(site / "demo" / "highway.html").words)
    assert "library_name: transformers" not in words
    assert words.index("Metadata of the card") > words.index("Citation") and "fill-mask" in words.split("Citation")[1]


def test_two_builds_are_the_same_bytes(folder, site, tmp_path):
    built = files_of(site)
    build_site(folder, site)
    build_site(folder, tmp_path / "again")
    assert files_of(site) == files_of(tmp_path / "again") == built


def test_what_was_added_to_a_site_stays(folder, site, tmp_path):
    again = Path(shutil.copytree(site, tmp_path / "again"))
    (again / ".git").mkdir()
    added = {"CNAME": b"example.org", ".git/config": b"[core]"}
    for name, data in added.items():
        (again / name).write_bytes(data)
    build_site(folder, again)
    assert files_of(again) == files_of(site) | added


# ---- figures -------------------------------------------------------------------------------------------------------


def traces(figure, view=0):
    return {trace["uid"]: trace for trace in figure["views"][view]["figure"]["data"]}


def results_of(name):
    return json.loads((CARDS / name / "results.json").read_text(encoding="utf-8"))


def test_the_site_holds_the_numbers_of_the_results(site):
    figures = json.loads((site / "demo" / "figures.js").read_text().removeprefix("window.figures = ").rstrip(";\n"))
    drawn = traces(figures["loss_curves.png"])
    for index, (arm, row) in enumerate(DEMO["arms"].items()):
        curve = drawn[f"{arm} curve"]
        assert (curve["x"], curve["y"]) == (row["curve"]["tokens"], row["curve"]["mean"])
        assert [told[1:] for told in curve["customdata"]] == [
            list(ends) for ends in zip(row["curve"]["low"], row["curve"]["high"], strict=True)
        ]
        marks = drawn[f"{arm} marks"]
        assert marks["x"] == [mark["tokens"] for mark in row["marks"]]
        assert marks["y"] == [mark["mean"] for mark in row["marks"]]
        for mark, up, down in zip(
            row["marks"], marks["error_y"]["array"], marks["error_y"]["arrayminus"], strict=True
        ):
            assert [mark["mean"] - down, mark["mean"] + up] == pytest.approx(mark["ci95"])
        assert drawn[f"{arm} seeds"]["y"] == list(row["metrics"]["test"]["loss"]["per_seed"].values())
        assert {trace["legendgroup"] for uid, trace in drawn.items() if uid.startswith(f"{arm} ")} == {arm}
        assert marks["showlegend"] and marks["marker"]["color"] == PALETTE[index]
    costs = figures["cost_quality.png"]["views"]
    assert [view["name"] for view in costs][:2] == [
        f"final test loss against {cost}" for cost in ("parameters", "training FLOPs")
    ]
    assert [trace["x"] for trace in costs[1]["figure"]["data"]] == [[row["flops"]] for row in DEMO["arms"].values()]


def test_time_is_that_of_the_timing_run():
    timed = traces(interactive_figures(Results.from_json(DEMO))["loss_curves.png"], view=1)
    for arm, row in DEMO["arms"].items():
        rate = DEMO["timing"]["arms"][arm]["seconds_per_token"]
        assert timed[f"{arm} marks"]["x"] == pytest.approx([rate * mark["tokens"] for mark in row["marks"]])


def test_growths_are_marked():
    results = results_of("growth_schedules")
    figure = interactive_figures(Results.from_json(results))["loss_curves.png"]
    drawn = traces(figure)
    assert "scratch growth" not in drawn and "just before a growth" in figure["caption"]
    for arm in ("grow_20", "drop_in"):
        stages = results["arms"][arm]["stages"]
        growth = drawn[f"{arm} growth"]
        assert growth["x"] == [stage["tokens"] for stage in stages for _ in range(2)]
        assert growth["y"] == [stage[when] for stage in stages for when in ("loss_before", "loss_after")]
        assert set(growth["y"]) <= set(drawn[f"{arm} line"]["y"])  # the line goes through them


def test_losses_and_another_metric_have_views_of_their_own():
    results = results_of("sst5")
    views = interactive_figures(Results.from_json(results))["loss_curves.png"]["views"]
    names = [view["name"].split(" against ")[0] for view in views]
    assert names == ["loss", "loss", "test accuracy", "test accuracy"]
    for view in views:
        named = [trace["name"] for trace in view["figure"]["data"] if trace.get("showlegend", True)]
        untimed = () if "tokens" in view["name"] else ("minbert_frozen", "bert_frozen")
        assert named == [arm for arm in results["arms"] if arm not in untimed]
    losses, marks = (traces({"views": [view]}) for view in (views[0], views[2]))
    assert losses["bert_full curve"]["y"] == results["arms"]["bert_full"]["curve"]["mean"]
    assert set(marks) == {f"{arm} {part}" for arm in results["arms"] for part in ("seeds", "marks")}


def test_one_seed_has_no_interval_and_equal_costs_no_view():
    figures = interactive_figures(Results.from_json(results_of("gradient_depth")))
    drawn = traces(figures["loss_curves.png"])
    assert not [uid for uid in drawn if uid.endswith((" range", " seeds"))]
    assert "no interval" in drawn["diverge marks"]["customdata"][0][1]
    assert len(figures["cost_quality.png"]["views"]) == 1


# ---- texts ---------------------------------------------------------------------------------------------------------


def test_what_models_write_is_text_and_our_own_html_is_html():
    written = "# A\n\n<script>alert(1)</script>\n\nand <img src=x onerror=alert(1)> *so*\n\n| a |\n|---|\n| b<br>c |\n"
    folded = "\n<details><summary>More</summary>\n\nof it\n\n</details>\n"
    text = to_html(written + folded, lambda _, target: target, lambda *_: "")
    assert "<script" not in text.html and "<img" not in text.html and "&lt;img src=x" in text.html
    assert "b<br>c" in text.html and "<details><summary>More</summary>" in text.html and text.title == "A"


def test_headings_have_the_ids_of_the_hub():
    text = to_html("# T\n\n## A1. Sizes, *all*\n\n## `b_c`\n\n## `b_c`\n", lambda _, target: target, lambda *_: "")
    assert text.sections == [("a1-sizes-all", "A1. Sizes, all"), ("b_c", "b_c"), ("b_c-1", "b_c")]


# ---- bad input -----------------------------------------------------------------------------------------------------


def said(capsys, *options):
    """The exit code, and all lines of errors."""
    with pytest.raises(SystemExit) as ended:
        make_site.main([*map(str, options)])
    return ended.value.code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "an object is expected"),
        (b'{"schema": 1}', "has no 'name'"),
        (json.dumps(DEMO).replace('"mean"', '"average"').encode(), "has no 'mean'"),
        (json.dumps(DEMO | {"arms": "two"}).encode(), "arms: a str; an object is expected"),
    ],
)
def test_results_that_are_missing_or_broken_are_named(folder, tmp_path, capsys, content, message):
    results = shutil.copytree(folder, tmp_path / "results") / "demo" / "results.json"
    results.unlink()
    if content is not None:
        results.write_bytes(content)
    code, lines = said(capsys, "--folder", tmp_path / "results", "--output", tmp_path / "site")
    assert code == 2 and len(lines) == 1 and str(results) in lines[0] and message in lines[0]
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("claims.md", "# A\n\n[gone](demo/gone.md)\n", "claims.md: leads to demo/gone.md, which is not there"),
        ("claims.md", "# A\n\n[out](../README.md)\n", "claims.md: leads to ../README.md, which is not there"),
        ("claims.md", "# A\n\n![net](https://example.com/a.png)\n", "leads to https://example.com/a.png"),
        ("claims.md", "No heading.\n", "claims.md: does not begin with a heading"),
        ("demo/highway.md", "---\ntags: [\n---\n# A\n", "highway.md: its metadata is invalid"),
        ("demo/loss_curves.png", "no image", "loss_curves.png: not an image"),
    ],
)
def test_texts_that_lead_nowhere_are_named(folder, tmp_path, capsys, name, text, message):
    (shutil.copytree(folder, tmp_path / "results") / name).write_text(text)
    code, lines = said(capsys, "--folder", tmp_path / "results", "--output", tmp_path / "site")
    assert code == 2 and len(lines) == 1 and message in lines[0] and not (tmp_path / "site").exists()


def test_only_a_former_site_is_replaced(folder, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("of three years")
    for output, message in (
        (tmp_path / "mine", "holds something else"),
        (tmp_path / "mine" / "thesis.txt", "is a file"),
        (folder / "site", "cannot lie in"),
    ):
        code, lines = said(capsys, "--folder", folder, "--output", output)
        assert code == 2 and len(lines) == 1 and message in lines[0]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "of three years"
    code, lines = said(capsys, "--folder", tmp_path / "none", "--output", tmp_path / "site")
    assert code == 2 and lines == [f"error: {tmp_path / 'none'}: no such folder"]


# ---- documents -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(folder, tmp_path):
    """A clone with two documents beside the results, one of which lies among them; the others are missing."""
    root = tmp_path / "clone"
    shutil.copytree(folder, root / "model_cards")
    texts = {name: f"# {words}\n\nShort.\n" for name, words in DOCUMENTS.items()}
    texts["README.md"] = (
        "# First\n\n![seeds](model_cards/demo/cost_quality.png)\n\n<!-- verdicts -->\n| a |\n|---|\n"
        "| [demo](model_cards/demo/report.md) |\n<!-- /verdicts -->\n\n<!-- run: sh -->\n```sh\nmake demo\n```\n\n"
        "See [training](training/README.md#recipes), [results](model_cards/README.md) and [a file](Makefile).\n"
    )
    texts["training/README.md"] = "# Training\n\n## Recipes\n\n[Back](../README.md), [speed](../model_cards/speed/).\n"
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "Makefile").write_text("demo:\n")
    return root


def test_documents_are_pages_that_lead_to_results_and_to_each_other(clone, tmp_path):
    site = tmp_path / "site"
    build_site(clone / "model_cards", site, clone)
    check_site(site)
    first = Page(site / "docs" / "README.html")
    links = [link["href"] for link in first.every("a")]
    assert {"training/README.html#recipes", "../index.html", "../demo/report.html", "Makefile"} <= set(links)
    assert first.every("img")[0]["src"] == "../demo/cost_quality.png" and len(first.every("table")) == 1
    words = "".join(first.words)
    assert "<!--" not in words and "make demo" in words
    beside = Page(site / "docs" / "training" / "README.html").every("a")
    assert {"../README.html", "../../speed/README.html"} <= {link["href"] for link in beside}
    assert (site / "docs" / "Makefile").read_text() == "demo:\n" and not (site / "speed" / "index.html").exists()
    assert "docs/README.html" in [link["href"] for link in Page(site / "index.html").every("a")]


@pytest.mark.parametrize("target", ["gone.md", "training", "../outside.md", "tests/gone.py"])
def test_a_document_that_leads_nowhere_is_named(clone, tmp_path, target):
    (clone.parent / "outside.md").write_text("# Out\n")
    (clone / "README.md").write_text(f"# First\n\n[there]({target})\n")
    with pytest.raises(InputError, match=f"README.md: leads to {target}, which is not there"):
        build_site(clone / "model_cards", tmp_path / "site", clone)


@pytest.mark.slow
def test_the_whole_site(tmp_path):
    assert build_site(CARDS, tmp_path / "site", ROOT) > 60
    check_site(tmp_path / "site")
