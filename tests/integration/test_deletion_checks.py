"""The checks of references that ask a server: triggers that are disabled, cascades and the right to TRUNCATE."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.db import connections, models
from tests.support.containers import PASSWORDS
from tests.support.parents import execute, parents, reference_to
from tests.support.recording_owners import MYSQLS, alias, mysql, pg, servers
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers

from switchyard.crossdb.references.checks import declared
from switchyard.crossdb.references.checks.servers import check_parents, role_of_migrations

pytestmark = pytest.mark.docker

__all__ = ["alias", "mysql", "pg", "servers"]  # fixtures


@pytest.fixture
def customer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model, whose reference is the only one of the project."""
    model = parents(region=models.IntegerField(null=True))
    monkeypatch.setattr(declared, "references", lambda **_options: iter([reference_to(model)]))
    return model


def found(alias: str) -> list[CheckMessage]:
    """Return what the check finds on the alias as the role of the service. The tests have the migrator's connection."""
    connections[alias].close()
    entry = connections.settings[alias]
    before = entry["USER"], entry["PASSWORD"]
    entry["USER"], entry["PASSWORD"] = "app", PASSWORDS["app"]
    try:
        return check_parents(databases=[alias])
    finally:
        connections[alias].close()
        entry["USER"], entry["PASSWORD"] = before


def test_parents__with_triggers(alias: str, customer: Any) -> None:
    """The service's role sees the triggers, the table and its own rights, and nothing is wrong."""
    with scratch_tables(alias, [customer]):
        assert found(alias) == []


def test_parents__without_triggers(alias: str, customer: Any) -> None:
    """Each trigger that is missing is named to the role of migrations; MySQL shows other roles no triggers."""
    declared_names = customer._meta.constraints[0].trigger_names(connections[alias].vendor)
    with scratch_tables(alias, [customer]):
        with connections[alias].schema_editor() as editor:
            editor.remove_constraint(customer, customer._meta.constraints[0])
        (missing,) = (each for each in check_parents(databases=[alias]) if each.id == "switchyard.E022")
        to_the_service = [each.id for each in found(alias)]

    assert missing.msg.endswith(f"Missing or disabled there: {', '.join(declared_names)}.")
    assert len(declared_names) == (2 if alias in MYSQLS else 3)
    assert to_the_service == ([] if alias in MYSQLS else ["switchyard.E022"])


@pytest.mark.parametrize("state", ["DISABLE", "ENABLE REPLICA"])
def test_trigger__is_disabled(pg: str, customer: Any, state: str) -> None:
    """A trigger that does not fire in the service's sessions counts as missing."""
    with scratch_tables(pg, [customer]):
        execute(pg, f"ALTER TABLE buyers {state} TRIGGER deletions_orders_customer_id_delete")
        (disabled,) = found(pg)

    assert disabled.msg.endswith("Missing or disabled there: deletions_orders_customer_id_delete.")


def test_cascade__of_the_server(mysql: str, customer: Any) -> None:
    """A cascade on the server that no model declares is found, with the name of its constraint."""
    with scratch_tables(mysql, [customer]):
        execute(mysql, "CREATE TABLE regions (id integer PRIMARY KEY)")
        execute(
            mysql,
            "ALTER TABLE buyers ADD CONSTRAINT of_region FOREIGN KEY (region) REFERENCES regions (id)"
            " ON DELETE CASCADE",
        )
        messages = found(mysql)
        execute(mysql, "ALTER TABLE buyers DROP CONSTRAINT of_region")
        execute(mysql, "DROP TABLE regions")

    assert [each.id for each in messages] == ["switchyard.E021"]
    assert "by the cascade of its constraint 'of_region'" in messages[0].msg


def test_cascade__of_postgresql(pg: str, customer: Any) -> None:
    """PostgreSQL fires triggers for a cascade, so it is no mistake there."""
    with scratch_tables(pg, [customer]):
        execute(pg, "CREATE TABLE regions (id integer PRIMARY KEY)")
        execute(pg, "ALTER TABLE buyers ADD FOREIGN KEY (region) REFERENCES regions (id) ON DELETE CASCADE")
        messages = found(pg)
        execute(pg, "DROP TABLE regions CASCADE")

    assert messages == []


GRANTS = {
    "on the table": ["GRANT DROP ON switchyard.buyers TO app@'%'", "REVOKE DROP ON switchyard.buyers FROM app@'%'"],
    "on the database": ["GRANT DROP ON switchyard.* TO app@'%'", "REVOKE DROP ON switchyard.* FROM app@'%'"],
    # The service's role has a grant on the database, which takes the place of those with a pattern.
    "on databases like it": ["GRANT DROP ON `switch%`.* TO app@'%'", "REVOKE DROP ON `switch%`.* FROM app@'%'"],
    "on everything": ["GRANT DROP ON *.* TO app@'%'", "REVOKE DROP ON *.* FROM app@'%'"],
    "on another table": ["GRANT DROP ON switchyard.others TO app@'%'", "REVOKE DROP ON switchyard.others FROM app@'%'"],
    "on another database": ["GRANT DROP ON other.* TO app@'%'", "REVOKE DROP ON other.* FROM app@'%'"],
}
WARNED = {"on the table", "on the database", "on everything"}


@pytest.mark.parametrize("where", GRANTS)
def test_right_to_truncate(mysql: str, servers: Servers, customer: Any, where: str) -> None:
    """A role of the service that may TRUNCATE the parents is named, wherever it has the right."""
    grant, revoke = GRANTS[where]
    with scratch_tables(mysql, [customer]):
        execute(mysql, "CREATE TABLE others (id integer)")
        servers.ask(mysql, grant)
        try:
            messages = found(mysql)
        finally:
            servers.ask(mysql, revoke)
            execute(mysql, "DROP TABLE others")

    assert [each.id for each in messages] == (["switchyard.W012"] if where in WARNED else [])
    assert all("The role 'app' may TRUNCATE 'buyers'" in each.msg for each in messages)


@pytest.fixture
def role(mysql: str, servers: Servers) -> Iterator[str]:
    """A role of the server with DROP, that is active in each session of the service."""
    user = "app@'%'"
    default = f"SET DEFAULT ROLE cleaner FOR {user}" if mysql == "mariadb" else f"SET DEFAULT ROLE cleaner TO {user}"
    servers.ask(
        mysql, "CREATE ROLE cleaner", "GRANT DROP ON switchyard.* TO cleaner", f"GRANT cleaner TO {user}", default
    )
    yield mysql
    servers.ask(mysql, "DROP ROLE cleaner")


def test_right_to_truncate__of_an_active_role(role: str, customer: Any) -> None:
    """A right that comes from an active role of the server counts."""
    with scratch_tables(role, [customer]):
        assert [each.id for each in found(role)] == ["switchyard.W012"]


def test_right_to_truncate__of_migrations(mysql: str, customer: Any) -> None:
    """`migrate` does not report the right of its own role, which it needs."""
    with scratch_tables(mysql, [customer]):
        with role_of_migrations():
            assert check_parents(databases=[mysql]) == []
        assert [each.id for each in check_parents(databases=[mysql])] == ["switchyard.W012"]
