"""Read-only transactions, on SQLite: where they are, what they refuse, and what they leave."""

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
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.published import at, lagging, replayed

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.routing import RoutingError, read_only, use_primary, use_replica
from switchyard.routing.monitor import sockets
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.consistency import PendingPosition, consistency_from
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet, shared_aliases
from switchyard.testing import assert_queries

BOTH = ("replica", "legacy")
ALIASES = ("default", "replica", "legacy", "analytics")
NOWHERE = "/nowhere/at/all.sqlite3"


@pytest.fixture(autouse=True)
def group(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[ReplicationSet]:
    """The set of `default` and its `replica`, each a file of its own; and a request that owes nothing."""
    files = {alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / alias} for alias in ALIASES}
    with (
        django_db_blocker.unblock(),
        connected(files),
        lagging("replica") as group,
        activate(context.request_context()),
    ):
        yield group


def driver(alias: str) -> Any:
    """Return the driver's connection, which no guard sees."""
    connections[alias].ensure_connection()
    return connections[alias].connection


def holds(alias: str) -> bool:
    """Tell whether the server itself refuses to write."""
    try:
        driver(alias).execute("CREATE TABLE IF NOT EXISTS written (what)")
    except sqlite3.OperationalError as error:
        return "readonly" in str(error)
    return False


def decided(model: type = User, **hints: Any) -> tuple[str, str]:
    chosen = decide(model, hints.get("instance"))
    return chosen.alias, chosen.rule


def test_read_only__what_it_sends_where() -> None:
    """The owner's models go to its alias; those that must not be stale and those of other owners as always."""
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


def test_read_only__what_the_owner_gave() -> None:
    """Its relations are read from the same snapshot as all others."""
    ada = User(pk=1)
    ada._state.db = "default"
    with read_only():
        assert decided(instance=ada) == ("replica", "override")


def test_read_only__with_other_overrides() -> None:
    """use_primary() in it asks for the owner, use_replica() has its replica; the innermost one decides."""
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
    """It is refused before SQL, wherever the block is, and inside use_primary() as well."""
    with read_only(alias), assert_queries():
        with pytest.raises(RoutingError, match=r"refused on 'default' inside read_only\(\)"):
            WRITES[kind]()
        with use_primary(), pytest.raises(RoutingError, match=r"refused on 'default' inside read_only\(\)"):
            WRITES[kind]()


def test_read_only__a_write_elsewhere() -> None:
    """Another owner may be written."""
    with read_only(), connections["analytics"].cursor() as cursor:
        cursor.execute("CREATE TABLE written (what)")


@pytest.mark.parametrize("alias", ["replica", "default"])
def test_read_only__what_no_guard_sees(alias: str) -> None:
    """The server refuses it while the block lasts, and on no other alias."""
    with read_only(alias) as found:
        assert found == alias
        assert [each for each in ALIASES if holds(each)] == [alias]

    assert not holds(alias)


@pytest.mark.parametrize("how", ["an error", "nested", "with another alias"])
def test_read_only__left(how: str) -> None:
    """It leaves no transaction open and nothing in force, whatever is inside it."""
    if how == "an error":
        with pytest.raises(ZeroDivisionError), read_only():
            raise ZeroDivisionError
    else:
        with read_only() as outer, read_only("default" if how == "with another alias" else None) as inner:
            assert outer == inner == "replica"

    assert not any(connection.in_atomic_block for connection in connections.all())
    assert (dict(current().read_only_aliases), current().write_blocked) == ({}, frozenset())
    assert not holds("replica")


def test_read_only__inner_block() -> None:
    """A block inside another one leaves the outer one as it was: in its transaction, and read-only."""
    with read_only("replica"):
        with read_only("replica"):
            pass

        assert connections["replica"].in_atomic_block
        assert holds("replica")


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
    """It is a part of it: the guard refuses writes on the owner until the block ends."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        with read_only("default"), pytest.raises(RoutingError):
            cursor.execute("CREATE TABLE written (what text)")
        cursor.execute("CREATE TABLE written (what text)")


def test_read_only__one_who_owes(group: ReplicationSet) -> None:
    """It is on the owner until a replica has what is owed; a named replica is taken as it is."""
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
    """It is on the owner instead, and what was seen there is owed: no replica that is behind it is read next."""
    replayed(group, replica=4, unfit=("replica",))
    with read_only(alias) as found:
        assert found == "default"
        assert decided() == ("default", "override")
    replayed(group, replica=4)

    assert decided() == ("default", "pinned")


def test_read_only__inside_the_owners_transaction(group: ReplicationSet) -> None:
    """It is on a replica as long as that misses nothing of the transaction."""
    replayed(group, replica=4)
    with transaction.atomic():
        with read_only() as before:
            pass
        current().consistency.require("default", PendingPosition(0.0, connections["default"]))
        with read_only() as after:
            pass

    assert (before, after) == ("replica", "default")


def test_read_only__stays_on_the_replica_it_read() -> None:
    """Of several it takes the one that this client has read, and its own reads bind the next ones."""
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
def test_read_only__a_replica_that_cannot_be_opened(alias: str | None) -> None:
    """It is on the owner instead; what was seen there is owed, and nothing is left open on the replica."""
    connections["replica"].settings_dict["NAME"] = NOWHERE
    with read_only(alias) as found:
        assert found == "default"
        assert not connections["replica"].in_atomic_block

    assert "default" in current().consistency.required


def test_read_only__a_server_behind_the_alias_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be behind what this client saw: the block is on the owner. A replica that is named is taken as it is."""
    monkeypatch.setitem(shared_aliases, "replica", 0.0)
    monkeypatch.setattr(sockets, "server_of", lambda _alias, _connection: "unknown")
    with read_only() as alias, read_only() as inner:
        pass
    with read_only("replica") as named:
        pass

    assert (alias, inner, named) == ("default", "default", "replica")


def test_read_only__an_owner_that_cannot_be_opened() -> None:
    """There is nowhere else to go, and nothing is in force afterwards."""
    connections["default"].settings_dict["NAME"] = NOWHERE
    with pytest.raises(OperationalError), read_only("default"):
        pass

    assert not current().read_only_aliases


def test_read_only__decorated_function() -> None:
    """It is read-only in each call, keeps its name, and one decorator serves all calls, nested ones as well."""

    @read_only()
    def nested(depth: int) -> list[bool]:
        return [*(nested(depth - 1) if depth else []), holds("replica")]

    assert (nested(1), nested.__name__, holds("replica")) == ([True, True], "nested", False)


def test_read_only__decorated_view() -> None:
    """Under ATOMIC_REQUESTS Django opens no transaction on the owner for it, and those on other aliases."""

    @read_only()
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(" ".join(alias for alias in ALIASES if connections[alias].in_atomic_block))

    for alias in ("default", "replica", "analytics"):
        connections.settings[alias]["ATOMIC_REQUESTS"] = True
    answer = BaseHandler().make_view_atomic(view)(HttpRequest())

    assert answer.content == b"replica analytics"


def test_read_only__decorated_view_that_left_out_others() -> None:
    """What `non_atomic_requests` said before still holds, and the view inside is as it was."""

    @transaction.non_atomic_requests(using="analytics")
    def view(_request: HttpRequest) -> None: ...

    assert vars(read_only()(view))["_non_atomic_requests"] == {"analytics", "default", "replica"}
    assert vars(view)["_non_atomic_requests"] == {"analytics"}


def test_read_only__what_is_no_plain_function() -> None:
    """It is refused where it is decorated, with what to do."""

    async def coroutine() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="Move the reads into a plain function"):
            read_only()(function)
