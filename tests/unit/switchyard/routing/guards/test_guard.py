"""Statements that the guard refuses before SQL, and statements that it allows, on real SQLite connections."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import Exists, OuterRef
from django.db.transaction import TransactionManagementError
from django.test import override_settings

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from reporting.models import AnalyticsReport
from switchyard.routing import allow_writes
from switchyard.routing.errors import (
    CrossOwnerQueryError,
    MisplacedWriteError,
    ReadOnlyOwnerWriteError,
    ReplicaLockError,
    ReplicaWriteError,
    RoutingError,
)
from switchyard.routing.guards.guard import guard_statement

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics", "legacy"], transaction=True)


def run(alias: str, sql: str) -> None:
    """Run raw SQL on the alias."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)


WRITES: list[Callable[[], object]] = [
    lambda: User.objects.using("replica").create(username="a"),
    lambda: User(username="a").save(using="replica"),
    lambda: User.objects.using("replica").update(first_name="a"),
    lambda: User(pk=1).delete(using="replica"),
    lambda: User.objects.using("replica").bulk_create([User(username="a")]),
    lambda: User.objects.using("replica").get_or_create(username="a"),
    lambda: User.objects.using("replica").update_or_create(username="a"),
    lambda: run("replica", "DELETE FROM accounts_user"),
    lambda: run("replica", "WITH gone AS (SELECT 1) DELETE FROM accounts_user WHERE id IN (SELECT * FROM gone)"),
    lambda: run("replica", "CREATE TABLE new (id int)"),
]


@pytest.mark.parametrize("write", WRITES)
def test_guard__a_write_on_a_replica(write: Callable[[], object], seen: list[tuple[str, str]]) -> None:
    """The write is refused and counted, and the error names replica, owner and remedy."""
    with pytest.raises(ReplicaWriteError, match=r"refused on 'replica', a replica of 'default'.* Run it on 'default'"):
        write()

    assert seen == [("replica_write", "replica")]
    assert User.objects.using("default").count() == 0


def remedy_of(error: pytest.ExceptionInfo[RoutingError]) -> str:
    """Return the sentences of the error after the first one, which say what to do."""
    return str(error.value).partition(". ")[2]


def test_guard__the_remedy_for_a_package() -> None:
    """The error of a write names the app, and the two settings for a package that took the alias from a read."""
    with pytest.raises(ReplicaWriteError) as refused:
        User.objects.using(User.objects.all().db).update(first_name="a")

    assert remedy_of(refused) == (
        "Run it on 'default': leave out `using`, or name the owner. If a package took 'replica' from a read "
        "(`queryset.db`, `manager.db`), add 'accounts' to SWITCHYARD['PRIMARY_ONLY'], or set 'accounts' to 'redirect' "
        "in SWITCHYARD['POLICIES']['replica_write']."
    )


def test_guard__the_remedy_for_a_package_that_locks() -> None:
    """The error of a lock names the app, and the setting that lets the transaction begin on the owner."""
    with transaction.atomic("replica"), pytest.raises(ReplicaLockError) as refused:
        run("replica", "SELECT id FROM accounts_user FOR UPDATE")

    assert remedy_of(refused).endswith(
        "If a package took 'replica' from a read (`atomic(using=queryset.db)`), add 'accounts' to "
        "SWITCHYARD['PRIMARY_ONLY']."
    )


def test_guard__the_remedy_for_an_unknown_table() -> None:
    """A table without a model has no known app, and the owner of the replica is the place to write."""
    with pytest.raises(ReplicaWriteError, match=r"Run it on 'default'.* add its app to SWITCHYARD\['PRIMARY_ONLY'\]"):
        run("replica", "DELETE FROM somewhere")


OTHER_OWNERS: list[tuple[Callable[[], object], str, str]] = [
    (lambda: AnalyticsEvent.objects.using("replica").update(kind="a"), "replica", "analytics"),
    (lambda: run("replica", "INSERT INTO customers SELECT * FROM accounts_user"), "replica", "legacy"),
    (lambda: run("replica", "SELECT id FROM customers FOR UPDATE"), "replica", "legacy"),
    (lambda: User.objects.using("legacy").update(first_name="a"), "legacy", "default"),
    (lambda: User.objects.using("analytics").update(first_name="a"), "analytics", "default"),
]


@pytest.mark.parametrize(("write", "alias", "owner"), OTHER_OWNERS)
def test_guard__a_write_on_an_alias_of_another_owner(write: Callable[[], object], alias: str, owner: str) -> None:
    """The remedy names the owner of the rows, also on the replica of another owner and on a read-only owner."""
    with pytest.raises(RoutingError) as refused:
        write()

    assert f"refused on '{alias}'" in str(refused.value)
    assert {
        name for name in connections if f"on '{name}'" in remedy_of(refused) or f'("{name}")' in remedy_of(refused)
    } == {owner}
    assert "allow_writes" not in str(refused.value)


def test_guard__a_locking_read_on_a_replica_in_a_transaction(seen: list[tuple[str, str]]) -> None:
    """The locking read is refused before SQL with the remedy, by the text that a server with row locks would get."""
    with (
        transaction.atomic("replica"),
        pytest.raises(ReplicaLockError, match=r'atomic\("default"\).*using\("default"\)'),
    ):
        run("replica", "SELECT id FROM accounts_user FOR UPDATE")

    assert seen == [("replica_write", "replica")]


def test_guard__a_locking_read_on_a_replica_outside_a_transaction() -> None:
    """If the server has row locks, Django refuses first; SQLite has none and reads."""
    if connections["replica"].features.has_select_for_update:
        with pytest.raises(TransactionManagementError):
            list(User.objects.using("replica").select_for_update())
    else:
        assert list(User.objects.using("replica").select_for_update()) == []


READ_ONLY_WRITES: list[Callable[[], object]] = [
    lambda: Customer.objects.create(name="a", email="a@example.org", created_at="2026-01-01T00:00Z"),
    lambda: Customer.objects.update(name="b"),
    lambda: run("legacy", "DROP TABLE orders"),
]


@pytest.mark.parametrize("write", READ_ONLY_WRITES)
def test_guard__a_write_on_a_read_only_owner(write: Callable[[], object], seen: list[tuple[str, str]]) -> None:
    """The write is refused and counted, and the error names `allow_writes()`."""
    with pytest.raises(
        ReadOnlyOwnerWriteError, match=r'refused on \'legacy\'.*allow_writes\("legacy", reason=\.\.\.\)'
    ):
        write()

    assert seen == [("read_only_owner_write", "legacy")]


def test_guard__an_allowed_write_on_a_read_only_owner() -> None:
    """`allow_writes()` allows the write on its own alias and in its own block."""
    with allow_writes("legacy", reason="a test"):
        Customer.objects.create(name="a", email="a@example.org", created_at="2026-01-01T00:00Z")
    with allow_writes("analytics", reason="a test"), pytest.raises(ReadOnlyOwnerWriteError):
        Customer.objects.all().delete()

    assert Customer.objects.count() == 1


def test_guard__allowed_writes_never_reach_a_replica() -> None:
    """A write on a replica is refused inside `allow_writes()` too."""
    with allow_writes("replica", reason="a test"), pytest.raises(ReplicaWriteError):
        User.objects.using("replica").update(first_name="a")


users, events = User.objects, AnalyticsEvent.objects
CROSSING: list[tuple[Callable[[], object], str, str]] = [
    (
        lambda: list(users.using("replica").filter(pk__in=events.values("user_id"))),
        "replica",
        "accounts.User, owned by 'default', and analytics.AnalyticsEvent, owned by 'analytics'",
    ),
    (
        lambda: list(users.filter(Exists(events.filter(user_id=OuterRef("pk"))))),
        "replica",
        "accounts.User, owned by 'default', and analytics.AnalyticsEvent, owned by 'analytics'",
    ),
    (
        lambda: list(events.values("id").union(users.values("id"))),
        "analytics",
        "analytics.AnalyticsEvent, owned by 'analytics', and accounts.User, owned by 'default'",
    ),
    (
        lambda: events.filter(pk__in=users.values("pk")).delete(),
        "analytics",
        "analytics.AnalyticsEvent, owned by 'analytics', and accounts.User, owned by 'default'",
    ),
    (
        lambda: run("default", "SELECT 1 FROM accounts_user u JOIN customers c ON c.id = u.id"),
        "default",
        "accounts.User, owned by 'default', and legacy.Customer, owned by 'legacy'",
    ),
    (
        lambda: run("analytics", "INSERT INTO analytics_analyticsevent SELECT * FROM accounts_user"),
        "analytics",
        "analytics.AnalyticsEvent, owned by 'analytics', and accounts.User, owned by 'default'",
    ),
]


@pytest.mark.parametrize(("query", "alias", "named"), CROSSING)
def test_guard__a_query_across_owners(
    query: Callable[[], object], alias: str, named: str, seen: list[tuple[str, str]]
) -> None:
    """The error comes before SQL and names both models, both owners and the tool to use."""
    with pytest.raises(CrossOwnerQueryError, match=r"switchyard\.crossdb") as refused:
        query()

    assert f"One statement on '{alias}' names {named}." in str(refused.value)
    assert seen == [("cross_owner_query", alias)]


def test_guard__a_query_inside_one_replication_set() -> None:
    """Models of several apps of one owner are joined on it and on its replica."""
    types = ContentType.objects.using("replica").filter(pk__in=User.objects.using("replica").values("pk"))
    days = AnalyticsReport.objects.filter(users__in=AnalyticsEvent.objects.values("user_id"))

    assert (list(types), list(days)) == ([], [])


def test_guard__a_write_of_a_model_owned_elsewhere() -> None:
    """The write is refused, and the error names the owner of the rows."""
    with pytest.raises(MisplacedWriteError, match=r"accounts.User was refused on 'analytics'.*'default'"):
        User(username="a").save(using="analytics")


def test_guard__a_read_of_a_table_with_another_owners_name() -> None:
    """The read is allowed: an older application may have a table of that name, and `inspectdb` reads it."""
    with allow_writes("legacy", reason="a test"):
        run("legacy", "CREATE TABLE accounts_user (id int)")
    try:
        run("legacy", "SELECT * FROM accounts_user LIMIT 1")
    finally:
        with allow_writes("legacy", reason="a test"):
            run("legacy", "DROP TABLE accounts_user")


def test_guard__operations_of_djangos_guide() -> None:
    """Every operation with `using` works on the alias that supports it."""
    user = User.objects.using("default").create(username="a")
    user.first_name = "b"
    user.save(using="default")
    user.refresh_from_db(using="replica")
    AnalyticsEvent(user_id=user.pk, kind="a", at="2026-01-01T00:00Z").save(using="analytics")

    assert (user._state.db, user.first_name) == ("replica", "b")
    assert User.objects.db_manager("replica").get() == user
    assert AnalyticsEvent.objects.using("analytics").count() == 1
    assert user.delete(using="default") == (1, {"accounts.User": 1})


def test_guard__an_instance_loaded_from_a_replica() -> None:
    """The instance is saved and deleted on the owner."""
    User.objects.create(username="a")
    user = User.objects.get(username="a")
    assert user._state.db == "replica"

    user.first_name = "b"
    user.save()
    assert User.objects.using("default").get().first_name == "b"

    User.objects.using("replica").get().delete()
    assert User.objects.using("default").count() == 0


def test_guard__a_row_written_in_an_open_transaction() -> None:
    """Reads inside the transaction go to the owner and find the row."""
    with transaction.atomic():
        User.objects.create(username="a")

        assert User.objects.get(username="a")._state.db == "default"

    assert User.objects.get(username="a")._state.db == "replica"


def test_guard__rows_chosen_for_writing() -> None:
    """`get_or_create` and `update_or_create` read and write on the owner."""
    created, _ = User.objects.get_or_create(username="a")
    found, was_created = User.objects.update_or_create(username="a", defaults={"first_name": "b"})

    assert (created._state.db, found._state.db, was_created) == ("default", "default", False)
    with transaction.atomic():
        assert User.objects.select_for_update().get()._state.db == "default"
    assert User.objects.update(first_name="c") == 1


def test_guard__a_related_manager_and_a_deferred_field() -> None:
    """For an instance that was loaded from the owner, both read the owner."""
    user = User.objects.create(username="a")
    deferred = User.objects.using("default").only("pk").get(pk=user.pk)

    assert user.groups.db == "default"
    assert User.objects.using("replica").get().user_permissions.db == "default"  # the app `auth` is PRIMARY_ONLY
    assert deferred.username == "a"


@pytest.mark.django_db(databases=["default"])
def test_guard__a_connection_made_inside_a_wrapper() -> None:
    """The guard is first and there once, after the block of another wrapper ends and after a reconnect."""

    def passing(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        return execute(sql, params, many, context)

    connection = connections.create_connection("default")
    with connection.execute_wrapper(passing):
        connection.connect()
    connection._close()  # `close()` keeps a database that lives in memory
    connection.connect()
    connection._close()

    assert connection.execute_wrappers[0] is guard_statement
    assert connection.execute_wrappers.count(guard_statement) == 1
    assert passing not in connection.execute_wrappers


def test_guard__bytes_and_composed_sql() -> None:
    """SQL that is no `str` is checked by its text."""
    with pytest.raises(ReplicaWriteError, match="DELETE FROM accounts_user"):
        run("replica", b"DELETE FROM accounts_user")  # type: ignore[arg-type]  # drivers take it


def test_guard__a_password_in_the_text() -> None:
    """The error shows the statement without its literals."""
    with pytest.raises(ReplicaWriteError, match=r"ALTER ROLE app PASSWORD '\.\.\.'") as refused:
        run("replica", "ALTER ROLE app PASSWORD 'it''s secret'")

    assert "secret" not in str(refused.value)


def test_guard__two_models_of_one_table_name() -> None:
    """A table with a model on this alias is allowed, even if another owner has a table of that name."""
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "REPLICAS": {}}):
        run("default", "SELECT 1 FROM accounts_user WHERE id IN (SELECT id FROM auth_group)")


def test_guard__migrations() -> None:
    """`migrate` runs on every owner, also on a read-only owner."""
    for alias in ("default", "analytics", "legacy"):
        call_command("migrate", database=alias, verbosity=0)
