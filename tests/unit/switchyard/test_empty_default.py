"""A project with `DATABASES["default"] = {}`: `default` is a name, not a role."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.empty_default_project import answers, manage


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The aliases beside `default`, migrated; the file of `spare`, which owns nothing, is not there."""
    directory = tmp_path_factory.mktemp("data")
    main = str(directory / "main.sqlite3")
    entry = {"ENGINE": "django.db.backends.sqlite3"}
    aliases = {
        "main": {**entry, "NAME": main, "ATOMIC_REQUESTS": True, "TEST": {"DEPENDENCIES": []}},
        "replica": {**entry, "NAME": f"file:{main}?mode=ro", "OPTIONS": {"uri": True}, "TEST": {"MIRROR": "main"}},
        "spare": {**entry, "NAME": str(directory / "no" / "spare.sqlite3")},
    }
    migrated = manage(aliases, "migrate_all", "--json")
    assert migrated.returncode == 0, migrated.stderr
    assert [result["alias"] for result in json.loads(migrated.stdout)] == ["main"]
    return aliases


@pytest.fixture(scope="module")
def said(databases: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of the project to its requests."""
    return answers(databases)


def test_check__atomic_requests_on_the_owner(said: dict[str, Any]) -> None:
    """ATOMIC_REQUESTS on the only owner is right."""
    assert said["commands"]["check"] == "System check identified no issues (0 silenced).\n"


def test_readyz__required_aliases(said: dict[str, Any]) -> None:
    """The empty alias is not probed, and an alias that owns nothing is shown and not required."""
    assert said["readyz"] == {
        "status": "degraded",
        "aliases": {"main": "up", "replica": "up", "spare": "down"},
    }


def test_requests__transactions_on_the_owner(said: dict[str, Any]) -> None:
    """A request writes in the transaction of ATOMIC_REQUESTS, and reads on the owner inside it."""
    assert (said["add"], said["failed"], said["names"]) == ("good", 500, ["good"])
    assert said["where"] == "main True"


def test_read_only__without_an_alias(said: dict[str, Any]) -> None:
    """`read_only()` reads a replica of the only owner that has replicas."""
    assert said["report"] == "replica"


def test_pages__aliases_with_a_database(said: dict[str, Any]) -> None:
    """The console and the metrics name the aliases that have a database."""
    assert said["console"] == ["main", "replica", "spare"]
    assert said["metrics"] == ["main", "other", "replica", "spare"]


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("wait_migrated", "Every database is migrated."),
        ("routes", "shop.Item"),
        ("replicas", "no lag"),
        ("makemigrations --check --dry-run", "No changes detected"),
        ("clearsessions", ""),
        ("createcachetable --database=main", ""),
    ],
)
def test_command__on_owners(said: dict[str, Any], command: str, printed: str) -> None:
    """A command that names no alias, or an owner, works."""
    assert printed in said["commands"][command]
    assert "CommandError" not in said["commands"][command]


@pytest.mark.parametrize(
    "command",
    [
        *("migrate", "showmigrations", "dumpdata", "loaddata no.json", "inspectdb", "dbshell", "sqlflush"),
        *("flush --no-input", "createcachetable"),
    ],
)
def test_command__on_the_empty_alias(said: dict[str, Any], command: str) -> None:
    """A command that needs an alias ends with one line that names the aliases."""
    assert said["commands"][command] == (
        "CommandError: 'default' is empty in DATABASES. Name one of these with --database: main, replica, spare."
    )


def test_test_command__without_a_default(databases: Mapping[str, Any], tmp_path: Path) -> None:
    """`manage.py test` makes the test database of the owner, and the replica is its mirror."""
    (tmp_path / "test_item.py").write_text(TESTS)

    process = manage({key: databases[key] for key in ("main", "replica")}, "test", str(tmp_path), "--noinput")

    assert process.returncode == 0, process.stderr
    assert "Ran 1 test" in process.stderr


TESTS = """
from django.test import TestCase
from switchyard.testing import assert_queries
from tests.support.empty_default.shop.models import Item

class ItemTest(TestCase):
    databases = {"main", "replica"}

    def test_item(self):
        with assert_queries(main=1, replica=1):
            Item.objects.create(name="one")
            self.assertEqual(Item.objects.count(), 1)
"""
