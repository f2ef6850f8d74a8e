"""Every link, file and Python path that a document names exists.

Docstrings and comments in app/ are documents too. They name a file from their own directory or one above it.
"""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from tests.support.documents import PAGES, ROOT, files, without_blocks

from switchyard.telemetry.traces import ALIAS, REASON

MODULES = sorted((ROOT / "app").rglob("*.py"))

_URL = re.compile(r"https?://[^\s)>`]+")
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_DOTTED = re.compile(r"(?<![\w./-])switchyard(?:\.[A-Za-z_]\w*)+")
_CHECK_ID = re.compile(r"switchyard\.[EW]\d{3}")
_SUFFIX = r"(?:py|sh|tpl|yaml|yml|toml|md|html|css|json|ini)\b(?![\w/-])"
_FILE = re.compile(rf"(?<![\w./<>*{{}}-])(?:[\w.-]+/)*[\w-][\w.-]*\.{_SUFFIX}")
_DIRECTORY = re.compile(r"`((?:app|chart|docs|k8s-dev|tests)(?:/[\w-]+)+)/?`")
_OF_A_PROJECT = {"manage.py", "settings.py", "conftest.py"}  # a reader's own
_MADE = {"adding.md": "app/billing/", "cluster.md": "build/"}  # files that the commands of the page make
_BELOW = {"cases.md": ROOT / "tests" / "integration"}  # where the page says that its files are


def name_of(path: Path) -> str:
    """Return the path as a test's id."""
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(without_blocks(page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, link: str) -> bool:
    """Tell whether a relative link leads to no file, or to no heading of it."""
    target, _, anchor = link.partition("#")
    file = (page.parent / target).resolve() if target else page
    return not file.exists() or bool(anchor and anchor not in anchors(file))


def dotted(text: str) -> set[str]:
    """Return the Python paths below `switchyard` in a text."""
    found = set(_DOTTED.findall(_URL.sub("", text))) - {ALIAS, REASON}
    return {path for path in found if not _CHECK_ID.fullmatch(path)}


@cache
def importable(path: str) -> bool:
    """Tell whether the path is a module, or an attribute of one."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name is None or not path.startswith(error.name):
                raise
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def prose(module: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a module."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    with module.open("rb") as source:
        yield from (token.string for token in tokenize.tokenize(source.readline) if token.type == tokenize.COMMENT)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page__links(page: Path) -> None:
    """Each relative link leads to a file, and to a heading if it names one."""
    links = [link for link in _LINK.findall(without_blocks(page.read_text())) if not link.startswith("http")]

    assert [link for link in links if broken(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page__files(page: Path) -> None:
    """Each file or directory is named by its path from the root of the repository, or is a file that the page makes."""
    text = page.read_text()
    named = _LINK.sub("", _URL.sub("", without_blocks(text)))
    known = _OF_A_PROJECT | set(files(text))
    places = (ROOT, _BELOW.get(page.name, ROOT))
    made = _MADE.get(page.name, "\0")
    found = {path for path in (*_FILE.findall(named), *_DIRECTORY.findall(named)) if not path.startswith(made)} - known

    assert sorted(path for path in found if not any((place / path).exists() for place in places)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page__python_paths(page: Path) -> None:
    """Each path below `switchyard`, in text and in code, can be imported."""
    assert sorted(path for path in dotted(page.read_text()) if not importable(path)) == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module__named_files(module: Path) -> None:
    """Each file that a docstring or a comment names is beside the module, or in a directory above it."""
    places = [place for place in module.parents if place.is_relative_to(ROOT)]
    named = {path for text in prose(module) for path in _FILE.findall(_URL.sub("", text))} - _OF_A_PROJECT

    assert sorted(path for path in named if not any((place / path).exists() for place in places)) == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module__named_python_paths(module: Path) -> None:
    """Each path below `switchyard` that a docstring or a comment names can be imported."""
    named = {path for text in prose(module) for path in dotted(text)}

    assert sorted(path for path in named if not importable(path)) == []


def test_names__are_found() -> None:
    """The patterns find names: the tests above are not empty."""
    pages = " ".join(page.read_text() for page in PAGES)
    modules = " ".join(text for module in MODULES for text in prose(module))

    assert "switchyard.routing.PrimaryReplicaRouter" in dotted(pages)
    assert "tests/integration/test_volume.py" in _FILE.findall(pages)
    assert "docs/settings.md" in _FILE.findall(modules)
    assert not importable("switchyard.routing.Nothing")
