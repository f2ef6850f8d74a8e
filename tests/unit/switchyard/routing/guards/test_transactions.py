"""Transactions of two owners in one thread, on real SQLite connections, inside a TestCase and outside."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.own_thread import in_own_thread

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD
from switchyard.routing import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    allow_cross_owner_writes,
    allow_writes,
)
from switchyard.routing.guards.transactions import check_cross_owner_write
from switchyard.testing import assert_queries

DATABASES = ["default", "analytics", "legacy", "replica"]
plain = pytest.mark.django_db(databases=DATABASES, transaction=True)
in_testcase = pytest.mark.django_db(databases=DATABASES)


def policy(**chosen: str) -> override_settings:
    """Set POLICIES in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": chosen})


@pytest.fixture
def strict() -> Iterator[None]:
    """Raise an error for the write of a second owner."""
    with policy(cross_owner_transaction="raise"):
        yield


def write(alias: str) -> None:
    """Send a write to the owner. The statement changes no row."""
    with allow_writes("legacy", reason="a test"), connections[alias].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE id < 0")


def crosses(block: Callable[[], object]) -> bool:
    """Return True if the block is refused."""
    try:
        block()
    except CrossOwnerTransactionError:
        return True
    return False


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("using", [None, "default", "legacy"])
@plain
def test_on_commit__while_another_owners_transaction_is_open(
    using: str | None, robust: bool, seen: list[tuple[str, str]]
) -> None:
    """The function would run at once: the call is refused and counted, the error names the open alias."""
    ran: list[int] = []
    refused = rf"on '{using or 'default'}' runs at once.*a transaction is open on 'analytics'.*using=\"analytics\""
    with transaction.atomic(using="analytics"), pytest.raises(EarlyOnCommitError, match=refused):
        transaction.on_commit(lambda: ran.append(1), using=using, robust=robust)

    assert (ran, seen) == ([], [("early_on_commit", using or "default")])


@plain
def test_on_commit__in_its_own_transaction_or_without_any(seen: list[tuple[str, str]]) -> None:
    """In a transaction of its own alias, without a transaction, and beside one on a replica, Django decides."""
    ran: list[int] = []
    with transaction.atomic(using="analytics"), transaction.atomic():
        transaction.on_commit(lambda: ran.append(1))
        transaction.on_commit(lambda: ran.append(2), using="analytics")
        assert ran == []
    transaction.on_commit(lambda: ran.append(3))
    with transaction.atomic(using="replica"):
        transaction.on_commit(lambda: ran.append(4))

    assert (ran, seen) == ([1, 2, 3, 4], [])


@pytest.mark.parametrize(("chosen", "counted"), [("warn", 1), ("allow", 0)])
@plain
def test_on_commit__with_a_policy_that_allows_it(chosen: str, counted: int, seen: list[tuple[str, str]]) -> None:
    """The function runs at once."""
    ran: list[int] = []
    with policy(early_on_commit=chosen), transaction.atomic(using="analytics"):
        transaction.on_commit(lambda: ran.append(1))
        assert ran == [1]

    assert len(seen) == counted


@in_testcase
def test_on_commit__inside_a_testcase() -> None:
    """A transaction that TestCase opened does not count, on either alias."""
    transaction.on_commit(lambda: None)
    with transaction.atomic(using="analytics"), pytest.raises(EarlyOnCommitError):
        transaction.on_commit(lambda: None)


WRITES: dict[str, tuple[Callable[[], object], bool]] = {}


def case(*, refused: bool) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Add the block to WRITES."""

    def named(block: Callable[[], object]) -> Callable[[], object]:
        WRITES[block.__name__] = block, refused
        return block

    return named


@case(refused=True)
def two_owners_in_one_transaction() -> None:
    with transaction.atomic():
        write("default")
        write("analytics")


@case(refused=True)
def autocommit_first() -> None:
    with transaction.atomic():
        write("analytics")
        write("default")


@case(refused=True)
def two_autocommits_beside_a_transaction() -> None:
    with transaction.atomic():
        write("analytics")
        write("legacy")


@case(refused=True)
def two_transactions() -> None:
    with transaction.atomic(), transaction.atomic(using="analytics"):
        write("default")
        write("analytics")


@case(refused=True)
def after_a_savepoint_was_rolled_back() -> None:
    with transaction.atomic():
        with transaction.atomic():
            write("default")
            transaction.set_rollback(True)
        write("analytics")


@case(refused=True)
def inside_savepoints() -> None:
    with transaction.atomic(), transaction.atomic():
        write("default")
        with transaction.atomic():
            write("analytics")


@case(refused=False)
def one_owner_often() -> None:
    with transaction.atomic():
        write("default")
        with transaction.atomic():
            write("default")


@case(refused=False)
def one_owner_beside_a_transaction() -> None:
    with transaction.atomic():
        write("analytics")
        write("analytics")


@case(refused=False)
def no_transaction() -> None:
    write("default")
    write("analytics")


@case(refused=False)
def one_after_the_other() -> None:
    for alias in ("default", "analytics", "default"):
        with transaction.atomic(using=alias):
            write(alias)


@case(refused=False)
def after_a_rollback() -> None:
    with transaction.atomic():
        write("default")
        transaction.set_rollback(True)
    with transaction.atomic(using="analytics"):
        write("analytics")


@case(refused=False)
def one_decorator_for_both_calls() -> None:
    @transaction.atomic
    def decorated(alias: str) -> None:
        write(alias)

    decorated("default")
    decorated("analytics")


@case(refused=False)
def one_decorator_again_after_the_commit() -> None:
    @transaction.atomic
    def decorated(alias: str) -> None:
        write(alias)
        if alias == "default":
            transaction.on_commit(lambda: decorated("analytics"))

    decorated("default")


@case(refused=False)
def without_savepoints() -> None:
    for alias in ("default", "analytics"):
        with transaction.atomic(savepoint=False):
            write(alias)


@case(refused=False)
def reads() -> None:
    with transaction.atomic():
        write("default")
        list(AnalyticsEvent.objects.all())


@case(refused=False)
def allowed() -> None:
    with transaction.atomic():
        write("default")
        with allow_cross_owner_writes(reason="a test"):
            write("analytics")
        write("default")


@case(refused=True)
def after_the_override() -> None:
    with transaction.atomic():
        write("default")
        with allow_cross_owner_writes(reason="a test"), allow_cross_owner_writes(reason="another"):
            write("analytics")
        write("legacy")


@pytest.mark.parametrize(("block", "refused"), WRITES.values(), ids=WRITES)
@plain
def test_write__to_two_owners(block: Callable[[], object], refused: bool, strict: None) -> None:
    """A write is refused if one owner would keep its rows when the other rolls back."""
    assert crosses(block) == refused
    assert not crosses(one_after_the_other)  # the block left no record


@pytest.mark.parametrize(("block", "refused"), WRITES.values(), ids=WRITES)
@in_testcase
def test_write__inside_a_testcase(block: Callable[[], object], refused: bool, strict: None) -> None:
    """The same writes are refused while a TestCase has transactions open on all aliases."""
    assert crosses(block) == refused


@plain
def test_write__before_its_sql(strict: None, seen: list[tuple[str, str]]) -> None:
    """The write never reaches the second owner; the error names both owners and the override."""
    said = r"A write on 'analytics' inside a transaction in which 'default' was written.*allow_cross_owner_writes\("
    with transaction.atomic():
        User.objects.create(username="a")
        with assert_queries(), pytest.raises(CrossOwnerTransactionError, match=said):
            AnalyticsEvent.objects.create(user_id=1, kind="a", at="2026-01-01T00:00Z")

    assert seen == [("cross_owner_transaction", "analytics")]


def test_write__after_a_lost_connection(strict: None, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """A connection that was closed inside its transaction leaves no written owner to the next call."""

    @transaction.atomic
    def decorated(alias: str) -> None:
        check_cross_owner_write(connections[alias])
        connections["default"].close()

    files = {alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / alias} for alias in DATABASES}
    with django_db_blocker.unblock(), connected(files):
        decorated("default")
        assert not crosses(lambda: decorated("analytics"))


@plain
def test_write__with_the_policy_warn(seen: list[tuple[str, str]]) -> None:
    """The write goes on, and is counted once for each owner that joins a transaction."""
    with transaction.atomic():
        for alias in ("default", "analytics", "default", "analytics", "legacy"):
            write(alias)
    with transaction.atomic():
        two_owners_in_one_transaction()

    assert [alias for _, alias in seen] == ["analytics", "legacy", "analytics"]


@plain
def test_write__with_the_policy_allow(seen: list[tuple[str, str]]) -> None:
    """Nothing is counted."""
    with policy(cross_owner_transaction="allow"):
        two_owners_in_one_transaction()

    assert seen == []


@plain
def test_allow_cross_owner_writes__as_a_decorator(strict: None, caplog: pytest.LogCaptureFixture) -> None:
    """The decorator allows the writes of a plain and of an async function, and logs its reason."""
    caplog.set_level(logging.DEBUG, "switchyard.routing.guards.transactions")
    override = allow_cross_owner_writes(reason="only a test")
    allowed_writes = override(two_owners_in_one_transaction)

    async def crosses_in_a_thread() -> bool:
        return await sync_to_async(crosses)(two_owners_in_one_transaction)

    allowed_writes()
    assert allowed_writes.__name__ == "two_owners_in_one_transaction"
    assert caplog.messages == ["Writes across owners are allowed: only a test"]

    assert asyncio.run(in_own_thread(override(crosses_in_a_thread)())) is False
    assert asyncio.run(in_own_thread(crosses_in_a_thread())) is True


@pytest.mark.parametrize("reason", ["", "  "])
def test_allow_cross_owner_writes__without_a_reason(reason: str) -> None:
    """An empty reason is refused."""
    with pytest.raises(ValueError, match="needs a reason"):
        allow_cross_owner_writes(reason=reason)


@given(
    st.lists(
        st.sampled_from(["+default", "+analytics", "-", "default", "analytics", "legacy"]),
        max_size=12,
    )
)
@in_testcase
def test_write__any_order(steps: list[str]) -> None:
    """A write is refused exactly if an open transaction has a write of another owner and none of this owner."""
    open_blocks: list[str] = []
    written: dict[str, set[str]] = {}
    with policy(cross_owner_transaction="raise"), ExitStack() as all_blocks:
        stacks: list[ExitStack] = []
        for step in steps:
            if step[0] == "+":
                stack = all_blocks.enter_context(ExitStack())
                stack.enter_context(transaction.atomic(using=step[1:]))
                stacks.append(stack)
                open_blocks.append(step[1:])
                written.setdefault(step[1:], set())
            elif step == "-":
                if stacks:
                    stacks.pop().close()
                    closed = open_blocks.pop()
                    if closed not in open_blocks:
                        del written[closed]
            else:
                joins = [seen for seen in written.values() if step not in seen]
                expected = any(joins)
                assert crosses(lambda alias=step: check_cross_owner_write(connections[alias])) == expected
                for seen in [] if expected else joins:
                    seen.add(step)
