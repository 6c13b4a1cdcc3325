# Copyright 2026 The hf_variants authors. MIT licence.
"""A Markdown text of the results as the HTML of a page: links lead to pages, figures are framed, tables can scroll."""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .claims import anchor

# The HTML that our own texts hold. Models' writing is among them: whatever else looks like HTML is shown as text.
_OUR_HTML = re.compile(r"(?:</?(?:details|summary|br)>|[^<>])*")
_LONG = 32  # characters of a table's cell that may be broken into lines
_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")

Resolve = Callable[[str, str], str]  # href or src, and its target -> what that is on the page
Frame = Callable[[str, str], str]  # an image's resolved target and its text -> HTML of the figure


@dataclass(frozen=True)
class Text:
    """A text's heading, the HTML of what comes below it, and (id, words) of its sections."""

    title: str
    html: str
    sections: Sequence[tuple[str, str]]


def to_html(markdown: str, resolve: Resolve, frame: Frame) -> Text:
    """Renders a text that begins with its heading.

    `resolve` is asked for every target, and then `frame` for every image that stands alone.
    """
    tokens = _PARSER.parse(markdown)
    title, tokens = _words(tokens[1]), tokens[3:]
    sections = [(name, words) for level, name, words in _headings(tokens) if level == "h2"]
    for token in tokens:
        if token.type == "html_block" and not _OUR_HTML.fullmatch(token.content):
            token.content = f"<p>{html.escape(token.content)}</p>\n"
        if token.type == "fence":
            token.attrSet("tabindex", "0")  # what scrolls has to be reached by the keyboard
    for child in (child for token in tokens for child in token.children or ()):
        _mend(child, resolve)
    _frame_images(tokens, frame)
    _mark_long_cells(tokens)
    body = _PARSER.renderer.render(list(_with_boxes(tokens)), _PARSER.options, {})
    return Text(title, body, sections)


def _words(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[str, str, str]]:
    """Gives every heading the id that GitHub and the Hub give it; yields level, id and words."""
    seen: dict[str, int] = {}
    for opening, inline in zip(tokens, tokens[1:], strict=False):
        if opening.type == "heading_open":
            words = _words(inline)
            name = anchor(words)
            seen[name] = seen.get(name, -1) + 1
            name = f"{name}-{seen[name]}" if seen[name] else name
            opening.attrSet("id", name)
            yield opening.tag, name, words


def _frame_images(tokens: Sequence[Token], frame: Frame) -> None:
    """Turns paragraphs that hold one image and nothing else into figures."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = token.children or ()
        if before.type == "paragraph_open" and len(children) == 1 and children[0].type == "image":
            framed = frame(str(children[0].attrs["src"]), children[0].content)
            before.hidden = after.hidden = True
            token.children = [Token("html_inline", "", 0, content=framed)]


def _mend(token: Token, resolve: Resolve) -> None:
    for name in ("href", "src"):
        if name in token.attrs:
            token.attrSet(name, resolve(name, str(token.attrs[name])))
    if token.type == "html_inline" and not _OUR_HTML.fullmatch(token.content):
        token.type = "text"


def _mark_long_cells(tokens: Sequence[Token]) -> None:
    for opening, inline in zip(tokens, tokens[1:], strict=False):
        if opening.type in ("td_open", "th_open") and len(_words(inline)) > _LONG:
            opening.attrSet("class", "long")


def _with_boxes(tokens: Sequence[Token]) -> Iterator[Token]:
    """Every table in a box that scrolls by itself."""
    for token in tokens:
        if token.type == "table_open":
            box = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n'
            yield Token("html_block", "", 0, content=box)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")
