"""docs/packages.md names each package of tests/compat with the release of its lock, and the settings of its project."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPAT = ROOT / "tests" / "compat"
PAGE = (ROOT / "docs" / "packages.md").read_text()
TOOLS = {"celery", "docker", "psycopg", "pytest", "switchyard"}  # needed by the tests, and not tried themselves


def declared() -> set[str]:
    """Return the names of the packages that tests/compat tries."""
    project = tomllib.loads((COMPAT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[\[<>=]", requirement)[0] for requirement in project["dependencies"]} - TOOLS


def test_page__releases() -> None:
    """The page has one row for each package, with the release of the lock."""
    locked = {each["name"]: each["version"] for each in tomllib.loads((COMPAT / "uv.lock").read_text())["package"]}
    shown = dict(re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE))

    assert shown == {name: locked[name] for name in declared()}
    assert f"Django {locked['django']}" in PAGE


def test_page__settings() -> None:
    """The page shows the PRIMARY_ONLY of the tests' project, and each of its apps has a row."""
    module = ast.parse((COMPAT / "project" / "settings.py").read_text())
    settings = {
        node.targets[0].id: node.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    switchyard = settings["SWITCHYARD"]
    assert isinstance(switchyard, ast.Dict)
    keys = [ast.literal_eval(key) for key in switchyard.keys if key is not None]
    primary_only = ast.literal_eval(switchyard.values[keys.index("PRIMARY_ONLY")])
    shown = re.search(r'"PRIMARY_ONLY": (\[.*\])', PAGE)

    assert shown is not None
    assert ast.literal_eval(shown[1]) == primary_only
    assert set(re.findall(r"`PRIMARY_ONLY: (\w+)`", PAGE)) == set(primary_only)
