"""Read-only transactions on SQLite: their alias, the writes that they refuse, and the state after them."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.handlers.base import BaseHandler
from django.db import OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.published import at, consistency_from, lagging, replayed

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing import RoutingError, read_only, use_primary, use_replica
from switchyard.routing.monitor import sockets
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet, shared_aliases
from switchyard.testing import assert_queries

BOTH = ("replica", "legacy")
ALIASES = ("default", "replica", "legacy", "analytics")


@pytest.fixture(autouse=True)
def group(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[ReplicationSet]:
    """`default` and its `replica` on a file each, in a request without a required position."""
    files = {alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / alias} for alias in ALIASES}
    with (
        django_db_blocker.unblock(),
        connected(files),
        lagging("replica") as group,
        activate(context.request_context()),
    ):
        yield group


def driver(alias: str) -> Any:
    """Return the driver connection, which has no guard."""
    connections[alias].ensure_connection()
    return connections[alias].connection


def refuses_writes(alias: str) -> bool:
    """Return True if the server itself refuses writes."""
    try:
        driver(alias).execute("CREATE TABLE IF NOT EXISTS written (what)")
    except sqlite3.OperationalError as error:
        return "readonly" in str(error)
    return False


def decided(model: type = User, **hints: Any) -> tuple[str, str]:
    chosen = decide(model, hints.get("instance"))
    return chosen.alias, chosen.rule


def test_read_only__routes() -> None:
    """Models of the owner are read from the alias of the block; PRIMARY_ONLY apps and other owners are not affected."""
    owners = {"*": "default", "analytics": "analytics"}
    with (
        override_settings(SWITCHYARD={"OWNERS": owners, "REPLICAS": {"default": ["replica"]}}),
        read_only() as alias,
    ):
        assert alias == "replica"
        assert decided() == ("replica", "override")
        assert decided(Group) == ("default", "primary_only")
        assert decided(AnalyticsEvent) == ("analytics", "owner")

    assert decided() == ("replica", "replica")


def test_read_only__an_instance_from_the_owner() -> None:
    """Relations of the instance are read from the alias of the block too."""
    ada = User(pk=1)
    ada._state.db = "default"
    with read_only():
        assert decided(instance=ada) == ("replica", "override")


def test_read_only__with_other_overrides() -> None:
    """The innermost override decides; use_replica() inside the block reads the replica of the block."""
    with read_only():
        with use_primary():
            assert decided() == ("default", "override")
        with use_replica():
            assert decided() == ("replica", "override")
        assert decided() == ("replica", "override")
    with use_primary(), read_only():
        assert decided() == ("replica", "override")


WRITES: dict[str, Callable[[], object]] = {
    "save": lambda: Group(name="staff").save(),
    "update": lambda: User.objects.update(email=""),
    "raw": lambda: connections["default"].cursor().execute("DELETE FROM accounts_user"),
    "in a transaction": lambda: transaction.atomic(using="default")(User.objects.update)(email=""),
}


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("alias", ["replica", "default"])
def test_read_only__a_write(alias: str, kind: str) -> None:
    """A write on the owner is refused before SQL, on either alias, and inside use_primary() too."""
    with read_only(alias), assert_queries():
        with pytest.raises(RoutingError, match=r"refused on 'default' inside read_only\(\)"):
            WRITES[kind]()
        with use_primary(), pytest.raises(RoutingError, match=r"refused on 'default' inside read_only\(\)"):
            WRITES[kind]()


def test_read_only__a_write_elsewhere() -> None:
    """A write on another owner is allowed."""
    with read_only(), connections["analytics"].cursor() as cursor:
        cursor.execute("CREATE TABLE written (what)")


@pytest.mark.parametrize("alias", ["replica", "default"])
def test_read_only__a_write_on_the_driver_connection(alias: str) -> None:
    """The server of the alias refuses the write during the block; that of a replica always does, and no other one."""
    with read_only(alias) as found:
        assert found == alias
        assert {each for each in ALIASES if refuses_writes(each)} == {alias, "replica"}

    assert [each for each in ALIASES if refuses_writes(each)] == ["replica"]


@pytest.mark.parametrize("how", ["an error", "nested", "with another alias"])
def test_read_only__left(how: str) -> None:
    """After the block no transaction is open and no override is in force."""
    if how == "an error":
        with pytest.raises(ZeroDivisionError), read_only("default"):
            raise ZeroDivisionError
    else:
        with read_only("default") as outer, read_only("replica" if how == "with another alias" else None) as inner:
            assert outer == inner == "default"

    assert not any(connection.in_atomic_block for connection in connections.all())
    assert (dict(current().read_only_aliases), current().write_blocked) == ({}, frozenset())
    assert not refuses_writes("default")


def test_read_only__inner_block() -> None:
    """The end of an inner block keeps the outer block in its transaction, and read-only."""
    with read_only("default"):
        with read_only("default"):
            pass

        assert connections["default"].in_atomic_block
        assert refuses_writes("default")


def test_read_only__leaves_the_block_that_it_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested blocks leave Django's own `atomic()` objects, each the object that it entered."""
    left: list[object] = []
    leave = transaction.Atomic.__exit__

    def noted(block: transaction.Atomic, *error: Any) -> None:
        left.append(block)
        leave(block, *error)

    monkeypatch.setattr(transaction.Atomic, "__exit__", noted)
    with read_only("replica"), read_only("replica"):
        outer, inner = connections["replica"].atomic_blocks

    assert left == [inner, outer]


def test_read_only__inside_a_transaction_there() -> None:
    """Inside an open transaction, the guard and the server refuse writes on the owner until the block ends."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        with read_only("default"):
            with pytest.raises(RoutingError):
                cursor.execute("CREATE TABLE written (what text)")
            assert refuses_writes("default")
        cursor.execute("CREATE TABLE written (what text)")


def test_read_only__a_required_position(group: ReplicationSet) -> None:
    """The block is on the owner until a replica has caught up; a named replica is read as it is."""
    replayed(group, replica=4)
    with activate(context.request_context(consistency=consistency_from({"default": at(5)}))):
        with read_only("replica") as named:
            pass
        with read_only() as alias:
            pass
    with (
        activate(context.request_context(consistency=consistency_from({"default": at(4)}))),
        read_only() as after,
    ):
        pass

    assert (named, alias, after) == ("replica", "default", "replica")


@pytest.mark.parametrize("alias", [None, "replica"])
def test_read_only__an_unfit_replica(group: ReplicationSet, alias: str | None) -> None:
    """The block is on the owner, and later reads require the position of its reads."""
    replayed(group, replica=4, unfit=("replica",))
    with read_only(alias) as found:
        assert found == "default"
        assert decided() == ("default", "override")
    replayed(group, replica=4)

    assert decided() == ("default", "pinned")


def test_read_only__inside_the_owners_transaction(group: ReplicationSet) -> None:
    """The block is on a replica until the transaction has written."""
    replayed(group, replica=4)
    with transaction.atomic():
        with read_only() as before:
            pass
        current().consistency.require("default", PendingPosition(0.0, connections["default"]))
        with read_only() as after:
            pass

    assert (before, after) == ("replica", "default")


def test_read_only__stays_on_the_replica_read_last() -> None:
    """Of several replicas the block uses the replica that this client read last, and later reads stay there."""
    with lagging(*BOTH) as group:
        replayed(group, replica=4, legacy=4)
        with read_only() as first:
            pass
        other = next(alias for alias in BOTH if alias != first)
        replayed(group, **{other: 9, first: 4})

        assert current().consistency.last_replica == {"default": first}
        assert decided() == (first, "replica")
        with read_only() as second:
            assert second == first
        replayed(group, **{other: 9, first: 4}, unfit=(first,))
        with read_only() as third:
            assert third == "default"


@pytest.mark.parametrize("alias", [None, "replica"])
def test_read_only__a_replica_that_cannot_be_opened(alias: str | None, tmp_path: Path) -> None:
    """The block is on the owner, later reads require its position, and no transaction stays open on the replica."""
    connections["replica"].settings_dict["NAME"] = tmp_path / "absent" / "file"
    with read_only(alias) as found:
        assert found == "default"
        assert not connections["replica"].in_atomic_block

    assert "default" in current().consistency.required


def test_read_only__an_unknown_server_behind_the_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown server may be stale, so the block is on the owner; a named replica is read as it is."""
    monkeypatch.setitem(shared_aliases, "replica", 0.0)
    monkeypatch.setattr(sockets, "server_of", lambda _alias, _connection: "unknown")
    with read_only() as alias, read_only() as inner:
        pass
    with read_only("replica") as named:
        pass

    assert (alias, inner, named) == ("default", "default", "replica")


def test_read_only__an_owner_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error is raised, and no override is in force afterwards."""
    connections["default"].settings_dict["NAME"] = tmp_path / "absent" / "file"
    with pytest.raises(OperationalError), read_only("default"):
        pass

    assert not current().read_only_aliases


def test_read_only__decorated_function() -> None:
    """Each call, also a nested call, is read-only, and the function keeps its name."""

    @read_only("default")
    def nested(depth: int) -> list[bool]:
        return [*(nested(depth - 1) if depth else []), refuses_writes("default")]

    assert (nested(1), nested.__name__, refuses_writes("default")) == ([True, True], "nested", False)


def test_read_only__decorated_view() -> None:
    """Under ATOMIC_REQUESTS Django opens no transaction on the owner for the view, but still on other owners."""

    @read_only()
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(" ".join(alias for alias in ALIASES if connections[alias].in_atomic_block))

    for alias in ("default", "replica", "analytics"):
        connections.settings[alias]["ATOMIC_REQUESTS"] = True
    answer = BaseHandler().make_view_atomic(view)(HttpRequest())

    assert answer.content == b"replica analytics"


def test_read_only__decorated_view_with_non_atomic_requests() -> None:
    """Aliases of `non_atomic_requests` are kept, and the inner view is not changed."""

    @transaction.non_atomic_requests(using="analytics")
    def view(_request: HttpRequest) -> None: ...

    assert vars(read_only()(view))["_non_atomic_requests"] == {"analytics", "default", "replica"}
    assert vars(view)["_non_atomic_requests"] == {"analytics"}


def test_read_only__no_plain_function() -> None:
    """Decorating a coroutine or a generator raises an error that names the remedy."""

    async def coroutine() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="Move the reads into a plain function"):
            read_only()(function)


@pytest.mark.parametrize(
    ("owners", "replicas", "meant"),
    [
        ({"*": "default", "legacy": "legacy"}, {"legacy": ["replica"]}, "default"),
        ({"*": "legacy", "analytics": "analytics"}, {"legacy": ["replica"]}, "legacy"),
        ({"*": "legacy"}, {}, "legacy"),
    ],
)
def test_read_only__owner_without_an_alias(
    owners: dict[str, str], replicas: dict[str, list[str]], meant: str, settings: Settings
) -> None:
    """Without an alias the block is about `default` if it owns an app, else about the only owner with replicas."""
    settings.SWITCHYARD = {"OWNERS": owners, "REPLICAS": replicas}

    assert read_only()._owner == meant


def test_read_only__several_owners_without_an_alias(settings: Settings) -> None:
    """If the settings do not tell the owner, the error names the owners to choose from."""
    settings.SWITCHYARD = {"OWNERS": {"*": "legacy", "analytics": "analytics"}, "REPLICAS": {}}

    with pytest.raises(TypeError, match=r"needs an alias, .* Name one of: (analytics, legacy|legacy, analytics)\."):
        read_only().__enter__()
