"""docs/migrations.md and the commands say the same about exit codes, states and operations."""

import ast
import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

from switchyard.management.commands import migration_status
from switchyard.migrations import _contract, _exit_codes, _marks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrations.md").read_text()


def rows(heading: str) -> list[tuple[list[str], str]]:
    """Return for each row of a section's table the code in its first cell, and the number in its last one."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split("|") for line in section.splitlines() if re.match(r"\| `", line)]
    return [
        (re.findall(r"`([^`]+)`", first), last.strip(" `")) for first, *_, last in cells if "migrate_all" not in first
    ]


def test_page__exit_codes() -> None:
    """The page has a row for each code of `migrate`, and for argparse's."""
    codes = {_exit_codes.MIGRATED, _exit_codes.MAY_RETRY, 2, _exit_codes.DO_NOT_RETRY}

    assert [int(code) for (code,), _ in rows("Exit codes")] == sorted(codes)
    assert f"values: [2, {_exit_codes.DO_NOT_RETRY}]" in PAGE


def test_page__states() -> None:
    """The page has each state of `migration_status` with its exit code."""
    assert {state: int(code) for (state,), code in rows("State")} == migration_status._CODES


def test_page__marks() -> None:
    """The page names the apps of the rows that are marks."""
    assert [app for app in _marks._APPS.values() if f"`{app}`" not in PAGE] == []


def test_page__operations() -> None:
    """The page names each operation that the lint judges."""
    named = {name for names, _ in rows("Expand and contract") for name in names}

    assert {operation.__name__ for operation in _contract._JUDGES} - named == set()


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_page__python(block: str) -> None:
    """The Python of the page can be parsed."""
    assert ast.parse(block).body


@pytest.mark.parametrize("name", ["migrate", "migrate_all", "migration_status", "migration_audit", "lint_migrations"])
def test_help__exit_codes(name: str) -> None:
    """`--help` of each command about migrations says what its exit codes mean."""
    parser = load_command_class("switchyard", name).create_parser("manage.py", name)

    assert "Exit code" in str(parser.epilog)
