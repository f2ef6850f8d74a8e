"""A program of any calls, transactions, threads and connections on one alias, for Hypothesis.

Each rule adds to what the table of `driver_calls.py` says that the counters and the server count. At the end of an
example both have counted exactly that.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from django.db import connections, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.support.driver_calls import LENDING_COMMITS, OPENING, ROLLED_BACK, Call
from tests.support.server_counts import APART, ServerCounts, without
from tests.support.servers import Servers

from switchyard.routing.connections.wrapper import routed
from switchyard.telemetry import metrics, snapshot
from switchyard.telemetry.layout import OTHER

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


calls = st.integers(0, 99)  # the number of a call: each alias has other ones
loads = st.lists(calls, min_size=1, max_size=4)


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
        self.has_begun = False  # the outermost block: PostgreSQL begins its transaction with its first statement
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
        self.has_begun = self.has_begun or bool(call.autocommits)

    @precondition(lambda self: len(self.blocks) < 3)
    @rule()
    def begin(self) -> None:
        """Begin a block: a transaction, or a savepoint inside it."""
        self.open()
        block = transaction.atomic(using=self.alias)
        block.__enter__()
        if self.blocks:
            self.expect_control("SAVEPOINT")
            self.has_begun = True
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
        if in_transaction and call.failed:
            for word in ROLLED_BACK:
                self.expect_control(word)

    def expect_control(self, word: str) -> None:
        """Expect a statement that controls a transaction."""
        self.expected[metrics.QUERIES, "tx"] += 1
        self.statements[word] += 1

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
        expected = {"counters": +self.expected, "statements": self.statements, "numbers": +self.numbers}
        differences = {name: (found[name], expected[name]) for name in found if found[name] != expected[name]}
        assert not differences, f"Found and expected: {differences}. All statements: {statements}."
