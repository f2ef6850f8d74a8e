"""`manage.py dbcheck` on real servers: its output and its exit code."""

import json
from typing import Any

import pytest
from tests.integration.conftest import manage
from tests.support.servers import Servers

pytestmark = pytest.mark.docker


def dbcheck(servers: Servers, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the output about each alias."""
    done = manage("dbcheck", "--json", *arguments, **servers.environ())
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_dbcheck__all_up(servers: Servers) -> None:
    """Each alias is up and has answered; an owner has no migration to apply; a replica's lag is known."""
    code, found = dbcheck(servers)

    assert code == 0
    assert {alias: each["state"] for alias, each in found.items()} == dict.fromkeys(found, "up")
    assert found.keys() == {"default", "replica", "analytics", "legacy"}
    assert all(0 < each["answer_seconds"] < 5 for each in found.values())
    assert {found[owner]["pending_migrations"] for owner in ("default", "analytics", "legacy")} == {0}
    assert found["replica"]["lag_seconds"] is not None


def test_dbcheck__a_replica_hangs(servers: Servers) -> None:
    """The service works without it: exit code 1, and 0 for the aliases that are up."""
    with servers.paused("replica"):
        code, found = dbcheck(servers)
        other, _ = dbcheck(servers, "default", "legacy")

    assert (code, other) == (1, 0)
    assert (found["replica"]["state"], found["default"]["state"]) == ("down", "up")


def test_dbcheck__an_owner_hangs(servers: Servers) -> None:
    """A new process would not be ready: exit code 2."""
    with servers.paused("legacy"):
        code, found = dbcheck(servers, "legacy")

    assert code == 2
    assert found["legacy"]["state"] == "down"
    assert found.keys() == {"legacy"}


def test_dbcheck__table(servers: Servers) -> None:
    """People get a table without hosts, users and passwords."""
    done = manage("dbcheck", **servers.environ())

    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if " up " in line] == [
        "default",
        "analytics",
        "legacy",
        "replica",
    ]
    assert "127.0.0.1" not in done.stdout


def test_dbcheck__unknown_alias(servers: Servers) -> None:
    """The error names the aliases that there are."""
    done = manage("dbcheck", "nowhere", **servers.environ())

    assert "DATABASES has no alias nowhere. Aliases: default" in done.stderr
