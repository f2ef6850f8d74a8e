"""On real servers a condition across databases gives the rows of the same condition over a list of its keys."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import Q
from django.db.models.functions import Collate
from django.db.models.lookups import In
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.counted import counted
from tests.support.moments import moment
from tests.support.orm_uses import READS, WRITES, keys_of, reads
from tests.support.servers import Servers

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from switchyard.crossdb import CrossDatabaseIn, sources
from switchyard.crossdb.strategies import probe
from switchyard.routing import allow_writes, use_primary
from switchyard.routing.session.context import activate, current, task_context

pytestmark = pytest.mark.docker

# The outer rows, their field, a field with few values, and the queryset of keys.
PAIRS = {
    "PostgreSQL, PostgreSQL": (User, "id", "first_name", lambda: AnalyticsEvent.objects.values("user_id")),
    "PostgreSQL, MySQL": (User, "id", "first_name", lambda: Customer.objects.values("pk")),
    "MySQL, PostgreSQL": (Customer, "id", "name", lambda: AnalyticsEvent.objects.values("user_id")),
    "many rows of a key": (AnalyticsEvent, "user_id", "kind", lambda: Customer.objects.values("pk")),
    "NULL in the column": (User, "last_login", "first_name", lambda: Customer.objects.values("created_at")),
    "NULL among the keys": (Customer, "created_at", "name", lambda: User.objects.values("last_login")),
    "text": (Customer, "email", "name", lambda: User.objects.values("email")),
    "text of MySQL": (User, "email", "first_name", lambda: Customer.objects.values("email")),
}
CHUNKS = {"chunks", "one_statement", "probe"}
# A query without chunks holds its keys in a temporary table on an owner, and in one statement on the standby.
STRATEGIES = {
    "PostgreSQL, PostgreSQL": CHUNKS | {"temporary_table"},
    "PostgreSQL, MySQL": CHUNKS | {"temporary_table"},
    "MySQL, PostgreSQL": CHUNKS | {"temporary_table"},
    "many rows of a key": CHUNKS | {"temporary_table"},
    "NULL in the column": {"one_statement", "probe"},
    "NULL among the keys": {"one_statement", "probe"},
    "text": {"one_statement"},
    "text of MySQL": {"one_statement"},
}
OWNERS = {User: "default", AnalyticsEvent: "analytics", Customer: "legacy"}
MAILS = ["ada@x.org", "ADA@x.org", "bob@x.org", "Zoë@x.org"]

seconds = st.integers(0, 4)
contents = st.tuples(
    st.dictionaries(st.integers(1, 12), st.none() | seconds, max_size=9),
    st.lists(st.tuples(st.integers(1, 12), seconds), max_size=14),
    st.dictionaries(st.integers(1, 12), seconds, max_size=9),
)

# Contents for each strategy: keys for one statement, and for several chunks.
FEW = ({1: 0, 2: None}, [(1, 0), (2, 1)], {1: 0, 2: 1})
MANY = (
    {key: key % 5 for key in range(1, 10)},
    [(key, key % 5) for key in range(1, 13)],
    {key: key % 5 for key in range(1, 10)},
)


def store(users: dict[int, int | None], events: list[tuple[int, int]], customers: dict[int, int]) -> None:
    """Store users and customers, each with a second, and events of users, each with a second."""
    for model in OWNERS:
        model.objects.all().delete()
    User.objects.bulk_create(
        [
            User(
                pk=key,
                username=f"user{key}",
                first_name="abc"[key % 3],
                email=MAILS[key % 4],
                last_login=moment(second),
                password="!",
            )
            for key, second in users.items()
        ]
    )
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user_id=key, kind="abc"[at % 3], at=moment(at)) for key, at in events]
    )
    Customer.objects.bulk_create(
        [
            Customer(pk=key, name="abc"[key % 3], email=MAILS[key % 3], created_at=moment(second))
            for key, second in customers.items()
        ]
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows need several chunks, and a probe give up."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    monkeypatch.setattr(probe, "PROBE_SIZES", (2, 8))


@pytest.mark.parametrize("pair", PAIRS)
def test_condition__of_two_vendors(real_databases: Servers, pair: str) -> None:
    """Each use of the ORM gives the rows of the list of keys, and each write changes them."""
    model, field, name, source = PAIRS[pair]
    rows, owner = model.objects, OWNERS[model]
    columns = [each.attname for each in model._meta.concrete_fields if not each.primary_key or owner != "analytics"]

    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(contents=contents)
    @example(contents=FEW)
    @example(contents=MANY)
    def check(contents: Any) -> None:
        store(*contents)
        expected = reads(rows, Q(**{f"{field}__in": keys_of(source())}), field, name)
        assert reads(rows, CrossDatabaseIn(field, source()), field, name) == expected
        with use_primary():  # where a temporary table can be made, whatever the replica has
            assert READS["exclude"](rows, CrossDatabaseIn(field, source()), field, name) == expected["exclude"]

    @settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(contents=contents, use=st.sampled_from(sorted(WRITES)))
    def check_write(contents: Any, use: str) -> None:
        results = []
        for across in (True, False):
            store(*contents)
            condition = CrossDatabaseIn(field, source()) if across else Q(**{f"{field}__in": keys_of(source())})
            affected = WRITES[use](rows, condition, field, name)
            left = rows.using(owner).values_list(*(each for each in columns if each != "date_joined"))
            results.append((affected, sorted(map(repr, left))))
        assert results[0] == results[1]

    before = strategies(owner)
    with real_databases.synchronous(), allow_writes("legacy", reason="test"):
        check()
        check_write()
    print(sorted(strategies(owner) - before))
    assert (strategies(owner) - before).keys() == STRATEGIES[pair]


def strategies(target: str) -> Counter[str]:
    """Return how often each strategy has run on the target."""
    return counted("switchyard_cross_database_queries_total", "strategy", target=target)


@pytest.mark.usefixtures("real_databases")
@pytest.mark.parametrize(
    ("alias", "statements"), [("analytics", {"ddl": 4, "write": 3}), ("legacy", {"ddl": 2, "write": 3})]
)
def test_temporary_table__statements_are_counted(alias: str, statements: dict[str, int]) -> None:
    """The metrics of the alias have each statement for the table, and no read waits for them."""
    with allow_writes("legacy", reason="test"):
        store(dict.fromkeys(range(1, 9)), [(key, 0) for key in range(1, 13)], {20: 0})
    model, field = {"analytics": (AnalyticsEvent, "user_id"), "legacy": (Customer, "id")}[alias]
    rows = model.objects.exclude(CrossDatabaseIn(field, User.objects.using("default").values("id")))

    with activate(task_context()), allow_writes("legacy", reason="test"):
        before = counted("switchyard_queries_total", "operation", alias=alias)
        list(rows)
        calls = counted("switchyard_queries_total", "operation", alias=alias) - before
        assert {each: calls[each] for each in ("ddl", "write")} == statements
        assert not current().consistency.required


def test_condition__without_a_right_to_temporary_tables(real_databases: Servers) -> None:
    """The keys go into one statement, and a transaction of the program goes on."""
    with allow_writes("legacy", reason="test"):
        store({}, [(key, 0) for key in range(1, 13)], dict.fromkeys(range(1, 8), 0))
    others = AnalyticsEvent.objects.exclude(CrossDatabaseIn("user_id", Customer.objects.values("pk")))
    before = strategies("analytics")
    real_databases.ask("analytics", "REVOKE TEMPORARY ON DATABASE switchyard FROM app")
    try:
        with transaction.atomic(using="analytics"):
            AnalyticsEvent.objects.filter(user_id=12).delete()
            found = sorted(event.user_id for event in others)
    finally:
        real_databases.ask("analytics", "GRANT TEMPORARY ON DATABASE switchyard TO app")

    assert found == [8, 9, 10, 11]
    assert (strategies("analytics") - before).keys() == {"one_statement"}


@pytest.mark.usefixtures("real_databases")
def test_condition__holds_a_table_for_its_query_only() -> None:
    """No temporary table is left in the transaction of the program."""
    with allow_writes("legacy", reason="test"):
        store({}, [(key, 0) for key in range(1, 13)], dict.fromkeys(range(1, 8), 0))
    with transaction.atomic(using="analytics"):
        for _ in range(2):
            others = AnalyticsEvent.objects.exclude(CrossDatabaseIn("user_id", Customer.objects.values("pk")))
            assert others.count() == 5
        with connections["analytics"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'switchyard%%'")
            assert cursor.fetchone() == (0,)


@pytest.mark.usefixtures("real_databases")
def test_condition__in_a_source_on_mysql() -> None:
    """The keys of MySQL may have a condition of their own."""
    with allow_writes("legacy", reason="test"):
        store(dict.fromkeys(range(1, 13)), [(key, 0) for key in range(1, 7)], dict.fromkeys(range(4, 12), 0))
    customers = Customer.objects.filter(CrossDatabaseIn("id", AnalyticsEvent.objects.values("user_id")))

    users = User.objects.using("default").filter(CrossDatabaseIn("id", customers.values("id")))

    assert sorted(user.pk for user in users) == [4, 5, 6]


@pytest.mark.usefixtures("real_databases")
def test_condition__in_a_source_of_texts_on_postgresql() -> None:
    """Texts whose own condition runs several queries are read in the thread of the caller."""
    with allow_writes("legacy", reason="test"):
        store(dict.fromkeys(range(1, 13)), [(key, 0) for key in range(1, 13)], dict.fromkeys(range(4, 12), 0))
    users = User.objects.using("default").filter(CrossDatabaseIn("id", AnalyticsEvent.objects.values("user_id")))

    customers = Customer.objects.filter(CrossDatabaseIn("email", users.values("email")))

    assert sorted(customer.pk for customer in customers) == [*range(4, 12)]


@pytest.mark.usefixtures("real_databases")
def test_condition__distinct_on_as_source() -> None:
    """The keys of DISTINCT ON are the first ones in the order of the source."""
    with allow_writes("legacy", reason="test"):
        store(dict.fromkeys(range(1, 13)), [(1, 0), (2, 3), (5, 1), (4, 4)], {})
    newest = AnalyticsEvent.objects.order_by("kind", "-at").distinct("kind").values("user_id")

    users = User.objects.using("default").filter(CrossDatabaseIn("id", newest))

    assert sorted(user.pk for user in users) == [2, 4]


@pytest.mark.usefixtures("real_databases")
def test_condition__distinct_on_and_a_limit() -> None:
    """A query with a limit has the same keys of DISTINCT ON."""
    with allow_writes("legacy", reason="test"):
        store(dict.fromkeys(range(1, 13)), [(1, 0), (2, 3), (5, 1), (4, 4)], {})
    newest = AnalyticsEvent.objects.order_by("kind", "-at").distinct("kind").values("user_id")

    users = User.objects.using("default").filter(CrossDatabaseIn("id", newest)).order_by("username")[:2]

    assert [user.pk for user in users] == [2, 4]


@pytest.mark.usefixtures("real_databases")
def test_condition__text_of_another_case_and_a_limit() -> None:
    """A text is equal by the collation of the outer column, with a limit as well."""
    with allow_writes("legacy", reason="test"):
        store({1: None}, [], {3: 0})  # "ADA@x.org" and "ada@x.org"

    customers = Customer.objects.filter(CrossDatabaseIn("email", User.objects.using("default").values("email")))

    assert [customer.pk for customer in customers.order_by("name")[:2]] == [3]


@pytest.fixture
def case_insensitive(real_databases: Servers) -> Iterator[str]:
    """A collation on PostgreSQL that takes `Ada` and `ada` for equal."""
    name = "test_case_insensitive"
    options = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
    real_databases.ask("default", f"CREATE COLLATION {name} ({options})")
    yield name
    real_databases.ask("default", f"DROP COLLATION {name}")


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_collation__each_use(vendor: str, case_insensitive: str) -> None:
    """Each use of the ORM gives the rows whose text is equal to one of the keys by the named collation."""
    with allow_writes("legacy", reason="test"):
        store(*MANY)
    source: Any = {"postgresql": Customer, "mysql": User}[vendor].objects.filter(pk__in=(1, 2)).values("email")
    rows: Any = {"postgresql": User, "mysql": Customer}[vendor].objects
    name, collation = {"postgresql": ("first_name", case_insensitive), "mysql": ("name", "utf8mb4_bin")}[vendor]

    with use_primary():
        expected = reads(rows, In(Collate("email", collation), keys_of(source)), "email", name)
        assert expected["count"] != rows.filter(CrossDatabaseIn("email", source)).count()
        assert reads(rows, CrossDatabaseIn("email", source, collation=collation), "email", name) == expected


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_collation__subquery(vendor: str, case_insensitive: str) -> None:
    """The named collation compares the columns of one database as well."""
    with allow_writes("legacy", reason="test"):
        store(*MANY)
        Customer.objects.filter(pk=3).update(name="ADA@x.org", email="ada@x.org")
        User.objects.filter(pk=3).update(first_name="ADA@x.org", email="ada@x.org")
    rows: Any = {"postgresql": User, "mysql": Customer}[vendor].objects.filter(pk=3)
    name, collation = {"postgresql": ("first_name", case_insensitive), "mysql": ("name", "utf8mb4_bin")}[vendor]
    source = rows.model.objects.values(name)

    with use_primary():
        assert rows.filter(CrossDatabaseIn("email", source)).exists() is (vendor == "mysql")
        found = CrossDatabaseIn("email", source, collation=collation)
        assert rows.filter(found).exists() is (vendor == "postgresql")


FIXED: dict[str, tuple[Any, str, Callable[[], Any]]] = {
    "slice on PostgreSQL": (User, "last_login", lambda: User.objects.order_by("pk").values("last_login")[:2]),
    "DISTINCT ON": (
        User,
        "last_login",
        lambda: User.objects.order_by("first_name", "pk").distinct("first_name").values("last_login"),
    ),
    "union on PostgreSQL": (
        User,
        "last_login",
        lambda: User.objects.filter(pk=1).values("last_login").union(User.objects.filter(pk=2).values("last_login")),
    ),
    "slice on MySQL": (Customer, "id", lambda: Customer.objects.order_by("-pk").values("orders__id")[:2]),
    "union on MySQL": (
        Customer,
        "id",
        lambda: Customer.objects.filter(pk=1).values("orders__id").union(Customer.objects.filter(pk=2).values("pk")),
    ),
}


@pytest.mark.usefixtures("real_databases")
@pytest.mark.parametrize("case", FIXED)
def test_condition__null_in_a_subquery(case: str) -> None:
    """NULL among the keys of a slice, a union or DISTINCT ON of the same alias is left out, for each use of the ORM."""
    model, field, source = FIXED[case]
    with allow_writes("legacy", reason="test"), use_primary():
        store({1: None, 2: 1, 3: None, 4: 2, 5: 1}, [], {1: 0, 2: 0, 3: 1})
        Order.objects.create(pk=1, customer_id=3, placed_at=moment(0), total_cents=1)
        keys = [each for row in source() for each in row.values()]
        assert None in keys
        name = "name" if model is Customer else "first_name"

        expected = reads(model.objects, Q(**{f"{field}__in": [key for key in keys if key is not None]}), field, name)
        assert reads(model.objects, CrossDatabaseIn(field, source()), field, name) == expected
        condition = CrossDatabaseIn(field, source())
        assert model.objects.exclude(condition).update(**{name: "z"}) == len(expected["exclude"])
