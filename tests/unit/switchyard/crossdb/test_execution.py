"""When a condition reads its keys, and from which alias."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F, Q
from django.db.models.sql.compiler import SQLCompiler
from tests.support.moments import NOON
from tests.support.users_with_events import FEW, MANY, known, named, seen, store

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, execution
from switchyard.routing import use_primary
from switchyard.telemetry import snapshot
from switchyard.testing import assert_queries, replica_lag

pytestmark = pytest.mark.usefixtures("small_chunks")
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
users, events = User.objects, AnalyticsEvent.objects


@databases
@pytest.mark.parametrize(
    "use",
    [
        lambda: users.filter(seen()).exclude(seen()).annotate(has=seen()).order_by("id")[:5],
        lambda: str(users.filter(seen()).query),
        lambda: users.filter(seen()).query.sql_with_params()[0],
        lambda: copy.deepcopy(users.filter(seen())).filter(pk=1),
        lambda: pickle.loads(pickle.dumps(users.filter(seen()).query)),
        lambda: pickle.loads(pickle.dumps(seen())),
        lambda: copy.copy(seen()),
    ],
    ids=["building", "str", "sql_with_params", "copy", "pickle of the query", "pickle", "copy of the condition"],
)
def test_condition__without_an_execution(use: Callable[[], Any]) -> None:
    """A queryset that does not run sends no query."""
    store()

    with assert_queries(analytics=0, replica=0):
        use()


@databases
@pytest.mark.parametrize(
    "condition",
    [
        seen,
        named,
        lambda: known(2, 3, 50),
        lambda: CrossDatabaseIn("id", events.order_by("-user_id").values("user_id")[:3]),
        lambda: CrossDatabaseIn("id", events.annotate(next=F("user_id") + 1).values("next")),
        lambda: CrossDatabaseIn("user_id", users.filter(pk=2).union(users.filter(pk=3)).values("id")),
        lambda: CrossDatabaseIn("user_id", users.using("replica").values("id")),
        lambda: Q(CrossDatabaseIn("user_id", users.filter(seen()))) | Q(user_id=4),
    ],
    ids=["one column", "text", "filtered", "slice", "annotation", "union", "using", "nested"],
)
def test_condition__pickled(condition: Callable[[], Any]) -> None:
    """A query that is pickled, and a queryset of it, give the rows of the original, from the same aliases."""
    store()
    made = condition()
    is_of_events = "user_id" in str(made)
    rows: Any = events.filter(made) if is_of_events else users.filter(made)
    copied = rows.model.objects.all()
    copied.query = pickle.loads(pickle.dumps(rows.query))

    expected = list(rows)

    assert expected
    assert list(copied) == expected


@databases
def test_condition__pickled_queryset() -> None:
    """The pickle of a queryset has its rows, as Django says, and reads the keys once for them."""
    store()
    rows = users.filter(seen())

    with assert_queries(analytics=1, replica=3):
        pickled = pickle.dumps(rows)
    with assert_queries():
        assert list(pickle.loads(pickled)) == list(rows)


@databases
def test_condition__pickled_with_its_bound() -> None:
    """The pickle of a condition has its bound, its alias and the hints for the routers."""
    ada = User.objects.create(pk=1, username="ada")
    source = ada.analyticsevent_set.using("analytics").values("user_id")
    pickled = pickle.loads(pickle.dumps(CrossDatabaseIn("id", source, max_keys=6))).rhs

    assert (pickled.max_keys, pickled.queryset._db, pickled.queryset._hints) == (6, "analytics", source._hints)


@databases
def test_condition__unpickled_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has made no condition itself runs a pickled one."""
    store()
    pickled = pickle.dumps(users.filter(seen()).query)
    monkeypatch.setattr(SQLCompiler, "execute_sql", execution._execute_sql)
    execution.install.cache_clear()
    rows = users.all()

    rows.query = pickle.loads(pickled)

    assert rows.count() == len(MANY)


@databases
def test_condition__text_of_the_query() -> None:
    """`str(queryset.query)` names the model of the keys in place of the keys."""
    assert "IN (NULL /* keys of analytics.AnalyticsEvent */)" in str(users.filter(seen()).query)


@databases
def test_condition__explain() -> None:
    """`explain()` is a query on the alias of the rows, and reads no key."""
    store()

    with assert_queries(analytics=0, replica=1):
        assert users.filter(seen()).explain()


@databases
def test_condition__runs_each_time() -> None:
    """A queryset that is evaluated again reads the keys again."""
    store(FEW)
    found = users.filter(seen())
    assert found.count() == 2

    events.create(user_id=9, kind="", at=NOON)

    assert found.count() == 3


@databases
def test_condition__using_on_both_sides() -> None:
    """Both sides are read from the aliases that they name."""
    store(FEW)
    source = users.using("default").filter(pk__lt=3).values("id")

    with assert_queries(analytics=1, default=1):
        found = events.using("analytics").filter(CrossDatabaseIn("user_id", source)).count()
    with assert_queries(replica=1, default=1):
        same = users.using("replica").filter(CrossDatabaseIn("id", source)).count()

    assert (found, same) == (2, 2)


@databases
def test_condition__use_primary() -> None:
    """Inside `use_primary()` the rows and the keys are read from their owners."""
    store(FEW)

    with use_primary(), assert_queries(analytics=1, default=1):
        assert users.filter(seen()).count() == 2
    with use_primary(), assert_queries(analytics=1, default=1):
        assert events.filter(known(2, 3, 50)).count() == 4


@databases
def test_condition__in_a_transaction_of_the_source() -> None:
    """Rows that the transaction on the owner of the source has not committed are keys, and not after a rollback."""
    store(FEW)
    events.create(user_id=50, kind="", at=NOON)
    with transaction.atomic():
        User.objects.create(pk=50, username="uncommitted")

        with assert_queries(analytics=1, default=1):
            assert events.filter(known(2, 3, 50)).count() == 5
        transaction.set_rollback(True)
    assert events.filter(known(2, 3, 50)).count() == 4


@databases
def test_condition__after_a_write() -> None:
    """A client whose write the replica does not have yet reads the keys from the owner."""
    store(FEW)
    with replica_lag() as lag:
        lag.pause()
        with assert_queries(analytics=1, replica=1):
            assert events.filter(known(2, 3, 50)).count() == 4
        events.create(user_id=50, kind="", at=NOON)
        User.objects.create(pk=50, username="new")

        with assert_queries(analytics=1, default=1):
            assert events.filter(known(2, 3, 50)).count() == 5


@databases
def test_condition__in_a_source() -> None:
    """The queryset of keys may have a condition of its own."""
    store(FEW)
    User.objects.create(pk=50, username="without events")
    events.create(user_id=50, kind="", at=NOON)
    known_and_seen = CrossDatabaseIn("user_id", users.filter(seen(), pk__lt=50).values("id"))

    assert events.filter(known_and_seen).count() == 4


@databases
def test_condition__in_a_source_on_the_same_alias() -> None:
    """The queryset of keys may have a condition of its own, also where it becomes a subquery."""
    store(FEW)

    assert users.filter(CrossDatabaseIn("id", users.filter(seen()).values("id"))).count() == 2


@databases
def test_condition__decisions() -> None:
    """The routers decide once for each query, on either side."""
    store(FEW)
    before = snapshot()

    users.filter(seen()).count()

    decided = {
        dict(labels)["alias"]: value - before[name, labels]
        for (name, labels), value in snapshot().items()
        if name == "switchyard_decisions_total" and value != before[name, labels]
    }
    assert decided == {"analytics": 1, "replica": 1}


@databases
def test_condition__representation() -> None:
    """`repr()` of a condition, which error reports contain, sends no query and shows no row."""
    store(FEW)

    with assert_queries():
        assert "user_id': 2" not in repr(seen())


@databases
@pytest.mark.parametrize("rows", [events, users], ids=["another alias", "the same alias"])
def test_condition__union_as_source(rows: Any) -> None:
    """The queryset of keys may be a union, which takes no more conditions."""
    store(FEW)
    source = users.filter(pk=2).values("pk").union(users.filter(pk=9).values("pk"))
    field = "user_id" if rows is events else "pk"

    assert sorted(rows.filter(CrossDatabaseIn(field, source)).values_list(field, flat=True)) == (
        [2, 2] if rows is events else [2, 9]
    )
