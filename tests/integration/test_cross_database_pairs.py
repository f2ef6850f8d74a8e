"""A condition across databases gives the rows of a list of its keys on every pair of vendors, in either direction."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import Q
from django.test import override_settings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.counted import counted
from tests.support.orm_uses import WRITES, keys_of, reads
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers

from config.databases import topology
from config.settings import SWITCHYARD
from switchyard.crossdb import CrossDatabaseIn, sources
from switchyard.crossdb.strategies import probe
from switchyard.routing.session.context import activate, task_context

pytestmark = pytest.mark.docker

VENDORS = ("postgresql", "mysql", "mariadb", "sqlite")
STRATEGIES = {"chunks", "one_statement", "probe", "temporary_table"}


class Outer(models.Model):
    """The rows that a condition filters."""

    number = models.BigIntegerField(null=True, db_index=True)
    name = models.CharField(max_length=8)

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_pairs_outer"

    def __str__(self) -> str:
        return self.name


class Source(models.Model):
    """The rows with the keys."""

    key = models.BigIntegerField(null=True)

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_pairs_source"

    def __str__(self) -> str:
        return str(self.key)


@pytest.fixture(scope="module")
def databases(servers: Servers, mariadb_pair: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two aliases of each vendor: for the outer rows, and for the keys. A vendor has one server for both."""
    directory = tmp_path_factory.mktemp("pairs")
    given = servers.environ("migrator")
    found = topology(given, data_dir=directory).databases
    with_mariadb = topology({**given, **mariadb_pair.environ("migrator")}, data_dir=directory).databases
    of_vendor = {
        "postgresql": found["default"],
        "mysql": found["legacy"],
        "mariadb": with_mariadb["legacy"],
        "sqlite": topology({}, data_dir=directory).databases["default"],
    }
    both = {f"{vendor}_{side}": entry for vendor, entry in of_vendor.items() for side in ("outer", "source")}
    return {"default": found["default"], **both}


@pytest.fixture
def connections_of_pairs(
    databases: dict[str, Any], django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Connect this process to the aliases. Few rows need several chunks, and a probe gives up."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    monkeypatch.setattr(probe, "PROBE_SIZES", (2, 8))
    switchyard = {**SWITCHYARD, "OWNERS": {"*": "default"}, "READ_ONLY": []}
    with (
        django_db_blocker.unblock(),
        connected(databases),
        override_settings(SWITCHYARD=switchyard),
        activate(task_context()),
    ):
        yield


keys = st.none() | st.integers(1, 12)
contents = st.tuples(st.lists(st.tuples(keys, st.sampled_from("abc")), max_size=14), st.lists(keys, max_size=14))
FEW = ([(1, "a"), (1, "b"), (None, "a"), (3, "c")], [1, None, 2])
MANY = ([(key, "abc"[key % 3]) for key in (*range(1, 13), 4, 5)] + [(None, "b")], [*range(2, 12), 4, None])


@pytest.mark.usefixtures("connections_of_pairs")
@pytest.mark.parametrize("inner", VENDORS)
@pytest.mark.parametrize("outer", VENDORS)
def test_condition__of_each_pair(outer: str, inner: str) -> None:
    """Each use of the ORM gives the rows of the list of keys, by each strategy, and each write changes them."""
    target, origin = f"{outer}_outer", f"{inner}_source"
    rows = Outer.objects.using(target)

    def by_list() -> Q:
        return Q(number__in=keys_of(Source.objects.using(origin).values("key")))

    def across() -> CrossDatabaseIn:
        return CrossDatabaseIn("number", Source.objects.using(origin).values("key"))

    @settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(contents=contents)
    @example(contents=FEW)
    @example(contents=MANY)
    def check(contents: Any) -> None:
        store(target, origin, *contents)
        expected = reads(rows, by_list(), "number", "name")
        assert reads(rows, across(), "number", "name") == expected

    with scratch_tables(target, (Outer,)), scratch_tables(origin, (Source,)):
        before = counted("switchyard_cross_database_queries_total", "strategy", target="other")
        check()
        ran = counted("switchyard_cross_database_queries_total", "strategy", target="other") - before
        for use, write in WRITES.items():
            results = []
            for condition in (by_list, across):
                store(target, origin, *MANY)
                affected = write(rows, condition(), "number", "name")
                results.append((affected, [*rows.order_by("id").values_list("number", "name")]))
            assert results[0] == results[1], use
    assert ran.keys() == STRATEGIES


def store(target: str, origin: str, outer: list[tuple[int | None, str]], inner: list[int | None]) -> None:
    """Replace the rows of both sides."""
    Outer.objects.using(target).all().delete()
    Source.objects.using(origin).all().delete()
    Outer.objects.using(target).bulk_create([Outer(number=number, name=name) for number, name in outer])
    Source.objects.using(origin).bulk_create([Source(key=key) for key in inner])
