# Copyright 2026 The hf_variants authors. MIT licence.
"""The folder of published comparisons (model_cards/) as a static site: the same texts, with figures to explore, and
the documents of the package beside them.

Nothing is said here a second time: pages are the Markdown files that `make cards` writes, and interactive figures are
drawn from the `results.json` beside them. The site needs no server and no network; all its links are relative.
"""

import json
import os
import posixpath
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import jinja2
from huggingface_hub import ModelCard
from PIL import Image, UnidentifiedImageError
from plotly.offline import get_plotlyjs

from ...hub.export import new_partial, put_in_place
from ..checking import InputError
from ..figures.interactive import Figure, interactive_figures
from ..files import read_json
from ..results.contracts import Overview, read_results
from ..tables import number, value_text
from .documents import DOCUMENTS, FIRST
from .model_cards import CLAIMS, FRONT_PAGE
from .site_text import to_html

INDEX = "index.html"
GENERATOR = "hf_variants make_site"
PLOTLY, FIGURES, STATIC = "plotly.min.js", "figures.js", ("site.css", "site.js")
REPORT, RESULTS, LOG = "report.md", "results.json", "LOG.md"
DOCS = "docs"  # the folder of the site that stands for the root of a clone
_SITE_PAGES = {FRONT_PAGE: "Results", CLAIMS: "Claims", LOG: "Log", f"{DOCS}/{FIRST}": "Guide"}
_MARK = re.compile(r"^<!-- .* -->\n", flags=re.MULTILINE)  # of a document's generated parts, and of tested code
_TEMPLATES = ("site_page.html", "site_figure.html")
_CHART = 'class="chart"'  # of an interactive figure, in its template

Name = PurePosixPath  # of a file or folder of the site: under DOCS from the root of a clone, else from the results
Link = tuple[str, str, bool]  # target, words, and whether it is the page itself


def build_site(folder: Path, output: Path, root: Path | None = None) -> int:
    """Writes the site of `folder` to `output`, a new folder or a former site; returns the number of pages.

    With the `root` of a clone that `folder` lies in, its documents are pages, too.

    Files of a former site that were edited or added since (CNAME, .git) stay.
    Raises InputError for results that are missing or broken, for a link that leads nowhere, and for an `output` that
    is something else. Everything is rendered before anything is written.
    """
    output = output.resolve()
    _check_output(output, folder.resolve())
    content = Site(folder, root).render()
    partial = new_partial(output)
    try:
        for name, data in content.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        put_in_place(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(name.suffix == ".html" for name in content)


def _check_output(output: Path, folder: Path) -> None:
    if output == folder or folder in output.parents or output in folder.parents:
        raise InputError(f"{output}: the site cannot lie in, or around, the results in {folder}")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; name a folder that is new, empty, or a former site")
    index = output / INDEX
    ours = index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise InputError(f"{output}: holds something else; name a folder that is new, empty, or a former site")


# ---- what is read --------------------------------------------------------------------------------------------------


def arms_and_figures(path: Path) -> tuple[list[str], dict[str, Figure]]:
    """The arms of a results.json and its interactive figures; neither, where it is an overview over cells.

    Raises InputError, which names the file, where it is missing, broken, or something else.
    """
    results = read_results(read_json(path), str(path))
    if isinstance(results, Overview):
        return [], {}
    try:
        figures = interactive_figures(results)
        json.dumps(figures, allow_nan=False)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: not the results of a comparison: {_in_short(error)}") from None
    return list(results.arms), figures


def _in_short(error: Exception) -> str:
    """What an error says, in one line."""
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__} {said}".strip()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `make cards` writes it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text in UTF-8") from None


# ---- the site ------------------------------------------------------------------------------------------------------


class Site:
    """A folder of results as pages. Rendering finds out which images, data and galleries the pages lead to."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        _read_text(folder / FRONT_PAGE)
        self.folder, self.root = folder, root
        self.pages = sorted(Name(path.relative_to(folder).as_posix()) for path in folder.rglob("*.md"))
        documents = {} if root is None else {self._name(root / name): words for name, words in DOCUMENTS.items()}
        self.documents = {name: words for name, words in documents.items() if name is not None}
        self.pages += [name for name in self.documents if name not in self.pages]
        reports = [page.parent for page in self.pages if page.name == REPORT]
        found = {comparison: arms_and_figures(folder / comparison / RESULTS) for comparison in reports}
        self.arms = {comparison: arms for comparison, (arms, _) in found.items()}
        self.figures: Mapping[Name, dict[str, Figure]] = {name: figures for name, (_, figures) in found.items()}
        self._copied = {comparison / RESULTS for comparison in reports}
        self._galleries: set[Name] = set()
        own = {name: files(__package__).joinpath(name).read_text(encoding="utf-8") for name in _TEMPLATES + STATIC}
        self._static = {name: own[name] for name in STATIC}
        self._jinja = jinja2.Environment(
            loader=jinja2.DictLoader(own),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )

    def render(self) -> dict[Name, bytes]:
        """Every file of the site."""
        texts = {_html_name(page): self._page(page) for page in self.pages}
        texts |= {gallery / INDEX: self._gallery(gallery) for gallery in sorted(self._galleries)}
        for comparison, figures in self.figures.items():
            if figures:
                texts[comparison / FIGURES] = f"window.figures = {json.dumps(figures)};\n"
        texts |= {Name(name): text for name, text in {**self._static, PLOTLY: get_plotlyjs()}.items()}
        copied = {name: self._path(name).read_bytes() for name in sorted(self._copied)}
        return {name: text.encode() for name, text in texts.items()} | copied

    def _path(self, name: Name) -> Path:
        """Where a file of the site comes from."""
        is_ours = self.root is not None and name.parts[:1] == (DOCS,)
        return self.root.joinpath(*name.parts[1:]) if is_ours else self.folder / name

    def _name(self, path: Path) -> Name | None:
        """The place in the site of a file or folder; None where it lies neither with the results nor in the clone."""
        path = Path(os.path.abspath(path))
        for top, prefix in ((self.folder, ""), (self.root, DOCS)):
            if top is not None and path.is_relative_to(os.path.abspath(top)):
                return Name(prefix) / path.relative_to(os.path.abspath(top)).as_posix()
        return None

    def _page(self, page: Name) -> str:
        text = _read_text(self._path(page))
        if page in self.documents:
            text = _MARK.sub("", text)
        if not text.startswith("---\n"):
            return self._filled(page, text, [])
        try:
            card = ModelCard(text, ignore_metadata_errors=False)
        except Exception as error:  # of YAML, or of what the hub expects of it
            raise InputError(f"{self._path(page)}: its metadata is invalid: {_in_short(error)}") from None
        return self._filled(page, card.text, list(_metadata(card)))

    def _gallery(self, folder: Name) -> str:
        """A page of all figures in a folder that some text leads to, and of the data that they were drawn from."""
        names = sorted(path.name for path in (self.folder / folder).iterdir() if path.is_file())
        parts = [f"# {folder}"]
        parts += [f"![{Name(name).stem.replace('_', ' ').capitalize()}]({name})" for name in names if _is_image(name)]
        parts += [f"* [{name}]({name})" for name in names if not _is_image(name)]
        return self._filled(folder / INDEX, "\n\n".join(parts), [])

    def _filled(self, page: Name, markdown: str, metadata: list[tuple[str, str]]) -> str:
        if not markdown.lstrip().startswith("# "):
            raise InputError(f"{self._path(page)}: does not begin with a heading")
        text = to_html(markdown, lambda *link: self._resolve(page, *link), lambda *image: self._frame(page, *image))
        site_pages = {Name(name): words for name, words in _SITE_PAGES.items() if Name(name) in self.pages}
        return self._jinja.get_template("site_page.html").render(
            text=text,
            metadata=metadata,
            generator=GENERATOR,
            root="../" * len(page.parent.parts),
            interactive=_CHART in text.html,
            part="Guide" if page in self.documents else "Comparison",
            site_links=[_link(page, name, words) for name, words in site_pages.items()],
            trail=list(self._trail(page)),
            beside=list(self._beside(page)),
        )

    # ---- links -----------------------------------------------------------------------------------------------------

    def _trail(self, page: Name) -> Iterator[Link]:
        """The reports of the comparisons, and their cells, that a page is part of; of a document the first one."""
        if page in self.documents:
            yield _link(page, next(iter(self.documents)), "Guide")
        for folder in reversed(page.parents):
            if folder in self.arms:
                yield _link(page, folder / REPORT, folder.name)

    def _beside(self, page: Name) -> Iterator[Link]:
        """What else there is on a page's comparison: the cells, or the cards, the samples and the data.

        Beside a document lie the others.
        """
        yield from (_link(page, other, words) for other, words in self.documents.items() if page in self.documents)
        if page.parent not in self.arms:
            return
        arms = self.arms[page.parent]
        cards = [other for other in self.pages if other.parent == page.parent and other.name != REPORT]
        cards.sort(key=lambda card: arms.index(card.stem) if card.stem in arms else len(arms))
        cells = [other for other in self.arms if other.parent == page.parent]
        yield from (_link(page, cell / REPORT, cell.name) for cell in cells)
        yield from (_link(page, card, card.stem) for card in cards)
        yield _link(page, page.parent / RESULTS, RESULTS)

    def _resolve(self, page: Name, attribute: str, target: str) -> str:
        """What a target of a Markdown file is in the site. Raises InputError where nothing is there."""
        parts = urlsplit(target)
        if attribute == "href" and (parts.scheme or not parts.path):
            return target
        path = self._path(page).parent / unquote(parts.path)
        name = self._name(path)
        is_there = path.is_file() or (path.is_dir() and name is not None and name.parts[:1] != (DOCS,))
        if parts.scheme or name is None or not is_there:
            raise InputError(f"{self._path(page)}: leads to {target}, which is not there")
        if path.is_dir() and name / FRONT_PAGE in self.pages:
            name, path = name / FRONT_PAGE, path / FRONT_PAGE
        if path.is_dir() and name not in self.arms:
            self._galleries.add(name)
        elif attribute == "href" and name.name in self.figures.get(name.parent, ()):
            return f"{_relative(page, name.parent / REPORT)}#{name.name}"  # rather than to the image
        elif path.is_file() and name not in self.pages:
            self._copied.add(name)
        if path.is_dir():
            name = name / (REPORT if name in self.arms else INDEX)
        return _relative(page, name) + (f"#{parts.fragment}" if parts.fragment else "")

    def _frame(self, page: Name, src: str, alt: str) -> str:
        """An image as a figure: an interactive one, where the image is drawn from the results beside the page."""
        path = self._path(Name(posixpath.normpath(page.parent / unquote(src))))
        try:
            with Image.open(path) as image:
                width, height = image.size
        except UnidentifiedImageError:
            raise InputError(f"{path}: not an image") from None
        figure: Any = self.figures.get(page.parent, {}).get(src)
        template = self._jinja.get_template("site_figure.html")
        return template.render(file=src, text=alt, width=width, height=height, figure=figure)


def _is_image(name: str) -> bool:
    return name.endswith(".png")


def _html_name(page: Name) -> Name:
    if page.suffix != ".md":
        return page
    return Name(INDEX) if page == Name(FRONT_PAGE) else page.with_suffix(".html")


def _relative(page: Name, target: Name) -> str:
    return quote(posixpath.relpath(_html_name(target), page.parent))


def _link(page: Name, target: Name, words: str) -> Link:
    return _relative(page, target), words, page == target


def _metadata(card: ModelCard) -> Iterator[tuple[str, str]]:
    """The rows of a card's YAML header; its results as values of metrics."""
    for name, value in card.data.to_dict().items():
        if name != "model-index":
            yield name.replace("_", " "), value_text(value)
    for result in card.data.eval_results or ():
        yield f"{result.metric_name}, {result.dataset_split} of {result.dataset_name}", number(result.metric_value)
