"""The pages for users of the package are correct: imports, signatures, settings, rules and kinds of violations."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import ROOT, blocks, without_blocks

from switchyard.telemetry import snapshot

DOCS = ROOT / "docs"
PAGES = (DOCS / "own-project.md", DOCS / "own-tests.md")
FOR_USERS = ("routing", "crossdb", "testing", "telemetry", "migrations", "environment")

_CALL = re.compile(r"^\| `([\w.]+)(\([^`]*\))`", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def imported(page: Path) -> dict[str, Any]:
    """Return the names that the page's block of imports gives: the last block that imports and does nothing else."""
    (*_, last) = [
        block.text
        for block in blocks(page.read_text())
        if block.language == "python" and block.text.startswith("from ")
    ]
    names: dict[str, Any] = {}
    exec(last, names)
    return names


def calls(page: Path) -> list[tuple[str, str]]:
    """Return each call of the page's tables, with its arguments."""
    return _CALL.findall(without_blocks(page.read_text()))


def arguments(function: Any) -> str:
    """Return the signature as a page writes it: without types, and without `self`."""
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def label_values(metric: str, label: str, **others: str) -> list[str]:
    """Return all values of a metric's label, in their order: telemetry shows each of them from the start."""
    samples = [dict(labels) for name, labels in snapshot() if name == metric]
    return list(
        dict.fromkeys(each[label] for each in samples if others.items() <= each.items() if each[label] != "other")
    )


def read_rules() -> list[str]:
    """Return the rules of a read."""
    return label_values("switchyard_decisions_total", "reason", operation="read")


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    return (DOCS / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """Return the code in the first cell of each row."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "call", "given"),
    [pytest.param(page, *call, id=f"{page.stem}-{call[0]}") for page in PAGES for call in calls(page)],
)
def test_page__signatures(page: Path, call: str, given: str) -> None:
    """Each call in a table can be imported as the page says, and takes these arguments."""
    names = imported(page)
    receiver, _, method = call.rpartition(".")
    function = getattr(names["ReplicaLag"], method) if receiver == "lag" else names[call]

    assert arguments(function) == given


def test_pages__calls() -> None:
    """Both pages have calls: the test above is not empty."""
    assert all(len(calls(page)) > 3 for page in PAGES)


@pytest.mark.parametrize("package", FOR_USERS)
def test_pages__public_names(package: str) -> None:
    """Both pages together name everything that a package exports to users."""
    text = " ".join(page.read_text() for page in PAGES)
    named = {word for code in _CODE.findall(without_blocks(text)) for word in re.findall(r"\w+", code)}

    assert set(import_module(f"switchyard.{package}").__all__) - named == set()


def test_own_project__settings() -> None:
    """The page has a row for each key that the package reads from SWITCHYARD, and for no other."""
    read = set(re.findall(r'_values\.get\("(\w+)"', (ROOT / "app" / "switchyard" / "conf.py").read_text()))

    assert read == set(first_cells(section("own-project.md", "Settings")))


def test_consistency__rules() -> None:
    """The page lists the rules of a read, in their order, and no other rule."""
    rules = section("consistency.md", "Which rule decides a read")

    assert first_cells(rules) == read_rules()


def test_consistency__kinds() -> None:
    """The page lists every kind of violation, with or without a policy."""
    named = set(_CODE.findall((DOCS / "consistency.md").read_text()))

    assert set(label_values("switchyard_violations_total", "kind")) - named == set()


def test_metrics__label_values() -> None:
    """The page names every rule, every kind of violation and every reason of a rejected position."""
    named = set(_CODE.findall(without_blocks((DOCS / "metrics.md").read_text())))

    assert set(read_rules()) - named == set()
    assert set(label_values("switchyard_violations_total", "kind")) - named == set()
    assert set(label_values("switchyard_positions_rejected_total", "reason")) - named == set()


def test_label_values__are_found() -> None:
    """Telemetry shows label values: the tests above are not empty."""
    assert {"owner", "pinned", "down"} <= set(read_rules())
    assert "replica_write" in label_values("switchyard_violations_total", "kind")
    assert "forged" in label_values("switchyard_positions_rejected_total", "reason")


def test_readme__begins_with_two_commands() -> None:
    """The README has at most 200 lines, and the two commands come first."""
    readme = (ROOT / "README.md").read_text()

    assert len(readme.splitlines()) <= 200
    assert re.findall(r"^## (.+)$", readme, re.MULTILINE)[:2] == ["Two commands", "A first tour"]
    assert re.findall(r"^    (make \w+)", readme, re.MULTILINE) == ["make run", "make test"]
