"""The comments of statements as the servers get them: each server tells the text that it runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import declared

from accounts.models import User
from legacy.models import Customer
from switchyard.routing import RoutingMiddleware, allow_writes

pytestmark = pytest.mark.docker

ROUTE = "users/<int:key>"
QUOTED = "users%2F%3Cint%3Akey%3E"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-0123456701234567-01"
POSTGRESQL = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
MYSQL = "SELECT info FROM information_schema.processlist WHERE id = connection_id()"
OWN_TEXT = {"postgresql": POSTGRESQL, "mysql": MYSQL}
OTHERS = {"DATABASE_DEFAULT_URL": "sqlite:///default.sqlite3"}
COMMENT = re.compile(r"/\*(.*)\*/")


@pytest.fixture
def _commented(real_databases: Servers) -> Iterator[None]:
    """The four servers, with comments."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "SQL_COMMENTS": True}):
        yield


def comment_of(text: str) -> str | None:
    """Return the inside of the comment, None without one."""
    found = COMMENT.search(text)
    return found and found[1]


def asked(alias: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a raw cursor."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def in_a_request(view: Any, **headers: str) -> Any:
    """Return what the view returns, in a request with a route."""
    returned: list[Any] = []

    def respond(request: HttpRequest) -> HttpResponse:
        returned.append(view())
        return HttpResponse()

    request = HttpRequest()
    request.method = "GET"
    request.META |= headers
    request.resolver_match = SimpleNamespace(route=ROUTE, app_names=())  # type: ignore[assignment]
    RoutingMiddleware(respond)(request)
    return returned[0]


@pytest.mark.usefixtures("_commented")
def test_comment__of_the_orm() -> None:
    """A read and its parameters arrive with alias, app, reason and route, on the replica and on MySQL."""
    User.objects.using("default").create(username="50%")
    with allow_writes("legacy", reason="a test"):
        Customer.objects.create(name="50%", email="ann@example.org", created_at="2026-01-01T00:00Z")

    def read() -> list[str]:
        return [
            User.objects.filter(username__contains="0%").annotate(sent=RawSQL(f"({POSTGRESQL})", [])).get().sent,
            Customer.objects.filter(name__contains="0%").annotate(sent=RawSQL(f"({MYSQL})", [])).get().sent,
        ]

    until(lambda: User.objects.using("replica").exists(), "the replica has the row")
    users, customers = in_a_request(read, HTTP_TRACEPARENT=PARENT)
    assert comment_of(users) == (
        f"alias='replica',app='accounts',reason='replica',route='{QUOTED}',traceparent='{PARENT}'"
    )
    assert comment_of(customers) == (
        f"alias='legacy',app='legacy',reason='owner',route='{QUOTED}',traceparent='{PARENT}'"
    )


@pytest.mark.usefixtures("_commented")
@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_comment__percent_signs(alias: str) -> None:
    """Values with a percent sign arrive whole, with and without parameters, and change no other one."""
    own = OWN_TEXT[connections[alias].vendor]
    comments = []
    for condition, parameters in (("7 %% 4 = %s", [3]), ("7 %% 4 = 3", []), ("7 % 4 = 3", None)):

        def ask(condition: str = condition, parameters: Any = parameters) -> str:
            with connections[alias].cursor() as cursor:
                cursor.execute(f"{own} AND {condition}", parameters)
                return str(cursor.fetchone()[0])

        sent = in_a_request(ask)
        assert "7 % 4 = 3" in sent
        comments.append(comment_of(sent))

    assert comments == [f"alias='{alias}',route='{QUOTED}'"] * 3


@pytest.mark.usefixtures("_commented")
@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_comment__before_a_semicolon(alias: str) -> None:
    """A text that ends with a semicolon stays one statement, so that the connection has no result left."""
    own = OWN_TEXT[connections[alias].vendor]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"{own};")
        rows = cursor.fetchall()
        assert not cursor.nextset()

    assert comment_of(rows[0][0]) == f"alias='{alias}'"
    assert asked(alias, "SELECT 1") == [(1,)]


@pytest.mark.usefixtures("_commented")
def test_comment__of_a_server_side_cursor() -> None:
    """The declaration has the comment."""
    User.objects.using("default").create(username="ann")
    with transaction.atomic("default"):
        users = User.objects.using("default").iterator(chunk_size=1)
        next(users)
        ((declaration,),) = asked(
            "default", "SELECT statement FROM pg_cursors WHERE statement LIKE 'DECLARE%accounts_user%'"
        )
        users.close()

    assert comment_of(declaration) == "alias='default',app='accounts'"


@pytest.mark.usefixtures("_commented")
def test_comment__where_statements_are_prepared() -> None:
    """A connection that prepares statements sends none, and neither does a statement that is to be prepared."""
    with connections["default"].cursor() as cursor:
        cursor.cursor.execute(POSTGRESQL, prepare=True)
        assert comment_of(cursor.fetchone()[0]) is None
        cursor.connection.prepare_threshold = 5
        cursor.execute(POSTGRESQL)
        assert comment_of(cursor.fetchone()[0]) is None
        cursor.connection.prepare_threshold = None
        cursor.execute(POSTGRESQL)
        assert comment_of(cursor.fetchone()[0]) == "alias='default'"


@pytest.mark.usefixtures("_commented")
def test_comment__not_for_several_rows_of_parameters() -> None:
    """`executemany` sends no comment."""
    with connections["legacy"].cursor() as cursor:
        cursor.executemany(f"{MYSQL} AND %s = 1", [[1]])
        assert comment_of(cursor.fetchone()[0]) is None


@pytest.mark.usefixtures("_commented")
def test_comment__of_another_program() -> None:
    """A statement keeps the comment that it has."""
    ((sent,),) = asked("default", f"{POSTGRESQL} /*controller='a',route='b'*/")

    assert comment_of(sent) == "controller='a',route='b'"


@pytest.mark.usefixtures("_commented")
def test_comment__of_a_moved_read(real_databases: Servers) -> None:
    """A read that moved away from a lost replica names the alias that answered."""
    asked("replica", "SELECT 1")
    real_databases.ask("replica", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    ((sent,),) = asked("replica", POSTGRESQL)

    assert comment_of(sent) == "alias='default',reason='failover'"


@pytest.mark.usefixtures("real_databases")
def test_comment__off_by_default() -> None:
    """Without the setting no statement has a comment."""
    ((sent,),) = asked("default", POSTGRESQL)

    assert sent == POSTGRESQL


def test_comment__on_mariadb(mariadb_pair: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    """MariaDB takes the comment as MySQL does."""
    with django_db_blocker.unblock(), declared(mariadb_pair, tmp_path, OTHERS, SQL_COMMENTS=True):
        ((sent,),) = in_a_request(lambda: asked("legacy", f"{MYSQL} AND 7 %% 4 = %s;", 3))

    assert comment_of(sent) == f"alias='legacy',route='{QUOTED}'"
