"""Any order of calls, transactions, threads and connections: the counters are those of the servers.

Each rule adds to what the table of `tests/support/driver_calls.py` says that the counters and the server count. At the
end of an example both have counted exactly that.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import manage
from tests.support.driver_calls import BY_ALIAS, LENDING_COMMITS, OPENING, ROLLED_BACK, ROWS, Call, execute
from tests.support.server_counts import APART, ServerCounts, without
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import declared

from switchyard.routing.connections.wrapper import routed
from switchyard.routing.session.context import activate, task_context
from switchyard.telemetry import metrics, snapshot
from switchyard.telemetry.layout import OTHER

pytestmark = pytest.mark.docker

# Family -> the label by which it is compared.
FAMILIES: Mapping[str, str | None] = {
    metrics.QUERIES: "operation",
    metrics.ROWS: "direction",
    metrics.TRANSACTIONS: "outcome",
    metrics.ERRORS: None,
    metrics.CONNECTIONS_OPENED: None,
    metrics.CONNECTIONS_CLOSED: None,
}


def counted(alias: str) -> Counter[tuple[str, str | None]]:
    """Return what this process has counted on the alias: (metric, label) -> number."""
    found = Counter[tuple[str, str | None]]()
    for (name, pairs), value in snapshot().items():
        labels = dict(pairs)
        # Errors have a vendor, and this process was set up with other vendors behind its aliases.
        label = FAMILIES.get(name)
        if name in FAMILIES and labels["alias"] in {alias, *([OTHER] if name == metrics.ERRORS else [])}:
            found[name, labels[label] if label else None] += int(value)
    return found


NO_AUTOVACUUM = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%')"

calls = st.integers(0, 99)  # the number of a call: each alias has other ones
loads = st.lists(calls, min_size=1, max_size=4)
SETTINGS = settings(
    max_examples=30,
    stateful_step_count=20,
    phases=[Phase.generate],  # a smaller example would take minutes
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Load(RuleBasedStateMachine):
    """A program that calls one alias."""

    servers: Servers
    alias: str
    ways: Sequence[Call]

    def __init__(self) -> None:
        super().__init__()
        self.connection = connections[self.alias]
        self.vendor = self.connection.vendor
        self.blocks: list[Any] = []
        self.has_begun = False  # a transaction: PostgreSQL begins it with its first statement
        self.expected = Counter[tuple[str, str | None]]()
        self.statements = Counter[str]()
        self.numbers = Counter[str]()  # other fields of ServerCounts
        self.connection.ensure_connection()
        self.connection.close()
        self.server_before = ServerCounts.of(self.servers, self.alias)
        self.before = counted(self.alias)

    @rule(number=calls)
    def call(self, number: int) -> None:
        """Call the driver in whatever is open."""
        call = self.ways[number % len(self.ways)]
        self.open()
        call.run(self.connection)
        self.expect(call, in_transaction=bool(self.blocks))

    @precondition(lambda self: len(self.blocks) < 3)
    @rule()
    def begin(self) -> None:
        """Begin a block: a transaction, or a savepoint inside it."""
        self.open()
        block = transaction.atomic(using=self.alias)
        block.__enter__()
        if self.blocks:
            self.expect_control("SAVEPOINT")
        else:
            self.has_begun = self.vendor == "mysql"
        self.blocks.append(block)

    @precondition(lambda self: self.blocks)
    @rule(commits=st.booleans())
    def end(self, *, commits: bool) -> None:
        """End the innermost block, with or without an error."""
        error = None if commits else KeyError()
        self.blocks.pop().__exit__(type(error) if error else None, error, None)
        if self.blocks:
            for word in ("RELEASE",) if commits else ("ROLLBACK_TO", "RELEASE"):
                self.expect_control(word)
        elif self.has_begun:
            outcome = "commit" if commits else "rollback"
            self.expected[metrics.TRANSACTIONS, outcome] += 1
            self.numbers[f"{outcome}s"] += 1

    @precondition(lambda self: not self.blocks)
    @rule()
    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        if self.connection.connection is not None:
            self.connection.close()
            self.expected[metrics.CONNECTIONS_CLOSED, None] += 1

    @rule(
        numbers=st.lists(st.lists(st.integers(0), min_size=1, max_size=4), min_size=2, max_size=3), atomic=st.booleans()
    )
    def run_threads(self, numbers: list[list[int]], *, atomic: bool) -> None:
        """Call in several threads at once, each over a connection of its own, with or without a transaction."""
        loads = [[self.ways[number % len(self.ways)] for number in each] for each in numbers]
        threads = [threading.Thread(target=self.work, args=(load, atomic)) for load in loads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for load in loads:
            self.expect_connection(is_new=True)
            self.expected[metrics.CONNECTIONS_CLOSED, None] += 1
            for call in load:
                self.expect(call, in_transaction=atomic)
            if atomic and (self.vendor == "mysql" or any(call.autocommits for call in load)):
                self.expected[metrics.TRANSACTIONS, "commit"] += 1
                self.numbers["commits"] += 1

    @precondition(lambda self: self.vendor == "postgresql")
    @rule(numbers=loads)
    def borrow(self, numbers: list[int]) -> None:
        """Call over a connection that a pool opens and lends for each call."""
        pooled: Any = routed(self.connection.copy())
        pooled.settings_dict["CONN_MAX_AGE"] = 0
        pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1}
        calls = [self.ways[number % len(self.ways)] for number in numbers]
        inner, connections[self.alias] = connections[self.alias], pooled  # for calls of the ORM
        try:
            for call in calls:
                call.run(pooled)
                pooled.close()
        finally:
            connections[self.alias] = inner
            pooled.close_pool()
        self.expect_connection(is_new=True)
        for call in calls:
            self.numbers["commits"] += LENDING_COMMITS
            self.expect(call, in_transaction=False)

    def work(self, load: Sequence[Call], atomic: bool) -> None:
        """Be a thread of the program."""
        connection = connections[self.alias]
        with transaction.atomic(using=self.alias) if atomic else nullcontext():
            for call in load:
                call.run(connection)
        connection.close()

    def open(self) -> None:
        """Open the connection if it is closed."""
        if self.connection.connection is None:
            self.connection.ensure_connection()
            self.expect_connection(is_new=False)

    def expect(self, call: Call, *, in_transaction: bool) -> None:
        """Expect what the table says of the call."""
        for operation, number in call.counted.items():
            self.expected[metrics.QUERIES, operation] += number
        self.expected[metrics.ROWS, "returned"] += call.returned
        self.expected[metrics.ROWS, "affected"] += call.affected
        self.expected[metrics.ERRORS, None] += call.failed
        self.numbers["rows"] += call.returned + call.affected
        self.statements.update(getattr(call, self.vendor))
        if self.vendor == "mysql":
            self.numbers["errors"] += call.failed
        elif not in_transaction:
            self.numbers["rollbacks" if call.failed else "commits"] += call.autocommits
        if in_transaction:
            self.has_begun = self.has_begun or bool(call.autocommits)
            for word in ROLLED_BACK if call.failed else ():
                self.expect_control(word)

    def expect_control(self, word: str) -> None:
        """Expect a statement that controls a transaction."""
        self.expected[metrics.QUERIES, "tx"] += 1
        self.statements[word] += 1
        self.has_begun = True

    def expect_connection(self, *, is_new: bool) -> None:
        """Expect that a connection opens; `is_new` says that Django's wrapper is new, too."""
        self.expected[metrics.CONNECTIONS_OPENED, None] += 1
        self.numbers["connections"] += 1
        self.numbers["commits"] += OPENING[self.vendor].commits
        if is_new:
            self.statements.update(OPENING[self.vendor].statements)
            self.numbers["rows"] += OPENING[self.vendor].rows

    def teardown(self) -> None:
        """Compare."""
        while self.blocks:
            self.end(commits=False)
        self.close()
        by_server = ServerCounts.of(self.servers, self.alias).since(self.server_before)
        numbers = by_server._asdict()
        statements = numbers.pop("statements")
        added = counted(self.alias)
        added.subtract(self.before)

        found = {"counters": +added, "statements": without(statements, APART), "numbers": +Counter(numbers)}
        assert found == {"counters": +self.expected, "statements": self.statements, "numbers": +self.numbers}, (
            statements
        )


@pytest.fixture(params=["postgresql", "mysql", "mariadb"])
def side(
    request: pytest.FixtureRequest, servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[tuple[Servers, str]]:
    """The servers, and an alias on a server of the vendor: nobody else calls it, and it has rows."""
    among, alias = servers, "analytics" if request.param == "postgresql" else "legacy"
    if request.param == "mariadb":
        pair: Servers = request.getfixturevalue("mariadb_pair")
        among = Servers(servers.network, {**servers.by_alias, "legacy": pair.by_alias["legacy"]})
        migrated = manage("migrate_all", **among.environ("migrator"))
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    with django_db_blocker.unblock(), declared(among, tmp_path, READ_ONLY=[]), activate(task_context()):
        for _ in range(ROWS):
            execute(connections[alias])
        connections[alias].close()
        with quiet(among, alias):
            yield among, alias


@contextmanager
def quiet(servers: Servers, alias: str) -> Iterator[None]:
    """Keep a PostgreSQL from transactions of its own, which pg_stat_database counts."""
    if alias != "analytics":
        yield
        return
    servers.ask(alias, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    try:
        until(lambda: servers.says(alias, NO_AUTOVACUUM), "no process of autovacuum runs")
        yield
    finally:
        servers.ask(alias, "ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")


def test_exactness__of_any_load(side: tuple[Servers, str]) -> None:
    """Queries, rows, transactions, connections and errors are what the server counts, in any order of calls."""
    servers, alias = side
    ways = [call for call in BY_ALIAS[alias] if not call.commits]
    load = type("LoadOfOneAlias", (Load,), {"servers": servers, "alias": alias, "ways": ways})
    run_state_machine_as_test(load, settings=SETTINGS)
