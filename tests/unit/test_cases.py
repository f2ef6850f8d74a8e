"""Every numbered case of routing has its tests, where docs/cases.md says that they are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INTEGRATION = ROOT / "tests" / "integration"
ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
ELSEWHERE = {"test_failover.py"}  # has more of a case that is numbered in another file


def numbers_in(file: Path) -> set[int]:
    """Return the cases that the file's tests are named by."""
    return {int(number) for number in re.findall(r"^def test_case_(\d+)__", file.read_text(), re.MULTILINE)}


def table() -> dict[int, list[str]]:
    """Return the files that docs/cases.md names for each case."""
    rows = ROW.findall((ROOT / "docs" / "cases.md").read_text())
    return {int(number): re.findall(r"`([^`]+)`", cell) for number, cell in rows}


def test_cases__each_has_its_tests() -> None:
    """The table has the cases in order, and each file that it names for one has a test of that number."""
    rows = table()
    missing = [
        (number, name)
        for number, names in rows.items()
        for name in names
        if name not in ELSEWHERE and number not in numbers_in(INTEGRATION / name)
    ]

    assert list(rows) == sorted(rows)
    assert rows.keys() >= {*range(1, 27), 28}
    assert all(set(names) - ELSEWHERE for names in rows.values())
    assert missing == []


def test_cases__each_test_is_in_the_table() -> None:
    """No numbered test is in a file that the table does not name for its case."""
    rows = table()
    found = {
        (number, str(file.relative_to(INTEGRATION)))
        for file in INTEGRATION.rglob("test_*.py")
        for number in numbers_in(file)
    }

    assert found - {(number, name) for number, names in rows.items() for name in names} == set()
