"""A project with `DATABASES["default"] = {}` on a PostgreSQL owner with a standby."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.containers import PASSWORDS
from tests.support.empty_default_project import answers, manage
from tests.support.servers import Servers

pytestmark = pytest.mark.docker

DATABASE = "without_default"


@pytest.fixture
def databases(servers: Servers) -> Iterator[Mapping[str, Any]]:
    """The aliases beside `default`: an owner, its standby, and `spare`, which owns nothing and does not answer."""
    entry = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": "migrator",
        "PASSWORD": PASSWORDS["migrator"],
        "HOST": "127.0.0.1",
    }
    ports = {"main": servers.by_alias["default"].port, "replica": servers.by_alias["replica"].port, "spare": 1}
    aliases: dict[str, dict[str, Any]] = {alias: {**entry, "PORT": port} for alias, port in ports.items()}
    aliases["main"]["ATOMIC_REQUESTS"] = True
    aliases["replica"]["TEST"] = {"MIRROR": "main"}
    servers.ask("default", f"CREATE DATABASE {DATABASE} OWNER owner")
    try:
        servers.caught_up()
        yield aliases
    finally:
        servers.ask("default", f"DROP DATABASE {DATABASE} WITH (FORCE)")


def test_case_28__an_empty_default(databases: Mapping[str, Any]) -> None:
    """The owner is migrated, written in transactions and required; `default` and what owns nothing are not."""
    migrated = manage(databases, "migrate_all")
    waited = manage(databases, "wait_migrated")
    said = answers(databases)

    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert waited.stdout.endswith("Every database is migrated.\n"), waited.stderr
    assert said["readyz"] == {"status": "degraded", "aliases": {"main": "up", "replica": "up", "spare": "down"}}
    assert (said["add"], said["failed"], said["names"]) == ("good", 500, ["good"])
    assert (said["where"], said["report"]) == ("main True", "replica")
