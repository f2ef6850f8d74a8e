"""docs/architecture.md and import-linter's contracts say the same about who may import whom."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "app" / "switchyard"
# Packages that stand beside the layers, as the page says.
BESIDE = {"testing", "management", "templates", "templatetags", "static"}


def contract(name: str) -> list[set[str]]:
    """Return the layers of one contract of import-linter, from the top down."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [each["layers"] for each in tool["contracts"] if each["name"] == name]
    return [{part.strip() for part in layer.split("|")} for layer in layers]


def table(heading: str) -> list[set[str]]:
    """Return the names in the first column of the section's first table, row by row."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    return [set(re.findall(r"`([^`]+)`", cell)) for cell in cells]


@pytest.mark.parametrize(
    ("heading", "name"), [("Inside `switchyard`", "Inside the package"), ("Inside `routing`", "Inside routing")]
)
def test_page__layers(heading: str, name: str) -> None:
    """The page has the layers of the contract, in the same order."""
    assert len(contract(name)) > 3
    assert table(heading) == contract(name)


def test_page__every_package() -> None:
    """Each package and module of `switchyard` stands in a layer, or beside the layers."""
    found = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "._" and path.suffix in {"", ".py"}}
    layers = set().union(*table("Inside `switchyard`"))

    assert found - {"apps"} == layers | BESIDE


def test_page__places() -> None:
    """Every place that answers a question is a folder."""
    places = re.findall(r"`(switchyard/[\w/]+)`", PAGE.split("## Where to find it")[1])

    assert len(places) >= 10
    assert [place for place in places if not (ROOT / "app" / place).is_dir()] == []


# Django looks for all commands in one folder, and `manage.py help` lists them.
@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE / "management" / "commands"})
)
def test_rooms__size(folder: Path) -> None:
    """No folder has more than about a dozen modules: a newcomer reads the list at one look."""
    assert len(list(folder.glob("*.py"))) <= 14
