# Copyright 2026 The hf_variants authors. MIT licence.
"""The built-in labelled text `builtin/docstrings`: what the standard library says about itself, by family of modules.

An example is the docstring of a public module, class, function, method or property, cut to its first paragraph, or to
the sentences of it that fit into MOST_CHARACTERS characters, on one line. Signatures and examples of use at its
beginning are dropped. The names of the module (`urllib.parse`, and `urllib` and `parse` by themselves, in any case of
letters) are replaced by MASK, so that the answer doesn't stand in the text. A text that two families share is
dropped, one that a family has twice is kept once.

All modules listed are pure Python or in every build, and do nothing when they are imported. The examples are the same
for one version of Python, but for a few classes and functions that only some operating systems have.
"""

import importlib
import inspect
import itertools
import re
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ..checking import InputError
from ..text.files import ROW
from .tables import Table

NAME, FRACTIONS, LICENSE = "builtin/docstrings", [0.6, 0.2, 0.2], "PSF-2.0"
MASK, MOST_CHARACTERS, FEWEST_WORDS = "_", 300, 4

FAMILIES = {
    "code": """ast code codeop dis functools importlib.abc importlib.machinery importlib.metadata importlib.util
        inspect keyword modulefinder opcode pkgutil pyclbr runpy symtable tokenize traceback types""",
    "concurrency": """asyncio.base_events asyncio.events asyncio.futures asyncio.locks asyncio.protocols asyncio.queues
        asyncio.runners asyncio.streams asyncio.subprocess asyncio.tasks asyncio.transports concurrent.futures
        concurrent.futures.process concurrent.futures.thread contextvars multiprocessing.connection
        multiprocessing.managers multiprocessing.pool multiprocessing.process multiprocessing.queues queue sched
        subprocess threading""",
    "files": """configparser dbm.dumb filecmp fileinput fnmatch glob gzip io linecache pathlib pickle pickletools
        plistlib posixpath shelve shutil stat tarfile tempfile zipapp zipfile zlib""",
    "network": """email.charset email.generator email.header email.headerregistry email.message email.parser
        email.policy email.utils ftplib http.client http.cookiejar http.cookies http.server imaplib ipaddress netrc
        poplib smtplib socketserver urllib.error urllib.parse urllib.request urllib.response urllib.robotparser
        wsgiref.handlers wsgiref.headers wsgiref.simple_server wsgiref.util xmlrpc.client xmlrpc.server""",
    "numbers": "calendar cmath colorsys datetime decimal fractions math numbers random statistics",
    "testing": """bdb cProfile doctest logging logging.config logging.handlers pdb pstats timeit trace tracemalloc
        unittest.async_case unittest.case unittest.loader unittest.mock unittest.result unittest.runner
        unittest.suite""",
    "text": """cmd codecs csv difflib gettext html html.parser json json.decoder json.encoder pprint re reprlib shlex
        string stringprep textwrap unicodedata xml.dom.minidom xml.etree.ElementTree xml.sax.handler xml.sax.saxutils
        xml.sax.xmlreader""",
}
SIGNATURE = re.compile(r"(\w+\.)*\w+\(.*\)( *-+> .*)?:?|\w+ -+> .*")


def read_docstrings() -> tuple[Table, list[float], str]:
    """All examples with columns `text` and `label`, the shares in which they are to be cut, and the licence.

    Raises InputError where Python was started without docstrings.
    """
    if sys.flags.optimize > 1:
        raise InputError(f"data.dataset: {NAME}: python -OO has no docstrings; start it without -OO")
    families: dict[str, set[str]] = {}
    texts: dict[str, str] = {}
    for family, modules in FAMILIES.items():
        for name in modules.split():
            for text in _texts(name):
                key = text.casefold()
                families.setdefault(key, set()).add(family)
                texts.setdefault(key, text)
    kept = [key for key in texts if len(families[key]) == 1]
    columns = {"text": [texts[key] for key in kept], "label": [min(families[key]) for key in kept]}
    return Table(NAME, ROW, range(len(kept)), columns, list(columns)), FRACTIONS, LICENSE


def _texts(name: str) -> Iterator[str]:
    """The shortened docstrings of a module, its classes and functions, and their members, in the order of names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(name)
        except ImportError:  # another version of Python
            return
    masked = sorted({name, *name.split(".")}, key=len, reverse=True)
    pattern = re.compile(rf"(?<![a-z0-9])({'|'.join(map(re.escape, masked))})(?![a-z0-9])", re.IGNORECASE)
    for doc in _docs(module):
        text = pattern.sub(MASK, _beginning(doc))
        if sum(any(c.isalpha() for c in word) for word in text.split()) >= FEWEST_WORDS:
            yield text


def _docs(module: ModuleType) -> Iterator[str]:
    found = [module.__doc__]
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or not _is_at_home(item, module):
            continue
        found.append(item.__doc__)
        members = sorted(vars(item).items()) if isinstance(item, type) else []
        found += [_doc(member) for key, member in members if not key.startswith("_")]
    return (doc for doc in found if isinstance(doc, str))


def _is_at_home(item: Any, module: ModuleType) -> bool:
    """Whether it is a class or function of the module or its package; `_pickle` belongs to `pickle`."""
    if not isinstance(item, type) and not inspect.isroutine(item):
        return False
    home = getattr(item, "__module__", None)
    return isinstance(home, str) and home.lstrip("_").partition(".")[0] == module.__name__.partition(".")[0]


def _doc(member: Any) -> str | None:
    """The docstring of a member if it has one of its own: a plain value shows that of its class."""
    member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
    has_own = isinstance(member, (type, property)) or inspect.isroutine(member)
    return member.__doc__ if has_own else None


def _beginning(doc: str) -> str:
    """The first paragraph after any signatures, on one line; of a long one, the sentences or words that fit."""
    lines = [line.strip() for line in inspect.cleandoc(doc).split(">>>")[0].split("\n")]
    prose = itertools.dropwhile(lambda line: not line or SIGNATURE.fullmatch(line), lines)
    text = " ".join(" ".join(itertools.takewhile(bool, prose)).split())
    if len(text) <= MOST_CHARACTERS:
        return text
    start = text[: MOST_CHARACTERS + 1]
    end = start.rfind(". ") + 1 or start.rfind(" ") + 1 or MOST_CHARACTERS
    return start[:end].rstrip()
