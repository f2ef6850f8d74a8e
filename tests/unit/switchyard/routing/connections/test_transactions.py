"""Transactions of two owners in one thread, on real SQLite connections, with those that TestCase opens and without."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD
from switchyard.routing import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    allow_cross_owner_writes,
    allow_writes,
)
from switchyard.routing.connections.transactions import check_cross_owner_write
from switchyard.testing import assert_queries

DATABASES = ["default", "analytics", "legacy", "replica"]
plain = pytest.mark.django_db(databases=DATABASES, transaction=True)
in_testcase = pytest.mark.django_db(databases=DATABASES)


def policy(**chosen: str) -> override_settings:
    """Set POLICIES in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": chosen})


@pytest.fixture
def strict() -> Iterator[None]:
    """Raise where two owners are written."""
    with policy(cross_owner_transaction="raise"):
        yield


def write(alias: str) -> None:
    """Write to the owner, whatever row: a statement that changes nothing."""
    with allow_writes("legacy", reason="a test"), connections[alias].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE id < 0")


def crosses(block: Callable[[], object]) -> bool:
    """Tell whether the block is refused."""
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
    """It would run at once: refused and counted, with the alias that is meant, and not run."""
    ran: list[int] = []
    refused = rf"on '{using or 'default'}' runs at once.*a transaction is open on 'analytics'.*using=\"analytics\""
    with transaction.atomic(using="analytics"), pytest.raises(EarlyOnCommitError, match=refused):
        transaction.on_commit(lambda: ran.append(1), using=using, robust=robust)

    assert (ran, seen) == ([], [("early_on_commit", using or "default")])


@plain
def test_on_commit__where_it_waits_or_nothing_is_open(seen: list[tuple[str, str]]) -> None:
    """In a transaction of its own alias, on none, and beside one on a replica, it does what Django says."""
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
def test_on_commit__where_the_policy_lets_it_run(chosen: str, counted: int, seen: list[tuple[str, str]]) -> None:
    """It runs at once."""
    ran: list[int] = []
    with policy(early_on_commit=chosen), transaction.atomic(using="analytics"):
        transaction.on_commit(lambda: ran.append(1))
        assert ran == [1]

    assert len(seen) == counted


@in_testcase
def test_on_commit__inside_a_testcase() -> None:
    """What TestCase opened is no transaction, on either side."""
    transaction.on_commit(lambda: None)
    with transaction.atomic(using="analytics"), pytest.raises(EarlyOnCommitError):
        transaction.on_commit(lambda: None)


WRITES: dict[str, tuple[Callable[[], object], bool]] = {}


def case(*, refused: bool) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Take down a block and whether it is refused."""

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
def reads() -> None:
    with transaction.atomic():
        write("default")
        list(AnalyticsEvent.objects.all())


@case(refused=False)
def waived() -> None:
    with transaction.atomic():
        write("default")
        with allow_cross_owner_writes(reason="a test"):
            write("analytics")
        write("default")


@case(refused=True)
def after_the_waiver() -> None:
    with transaction.atomic():
        write("default")
        with allow_cross_owner_writes(reason="a test"), allow_cross_owner_writes(reason="another"):
            write("analytics")
        write("legacy")


@pytest.mark.parametrize(("block", "refused"), WRITES.values(), ids=WRITES)
@plain
def test_write__to_two_owners(block: Callable[[], object], refused: bool, strict: None) -> None:
    """It is refused where one would stay when the other is rolled back."""
    assert crosses(block) == refused
    assert not crosses(one_after_the_other)  # nothing is left behind


@pytest.mark.parametrize(("block", "refused"), WRITES.values(), ids=WRITES)
@in_testcase
def test_write__inside_a_testcase(block: Callable[[], object], refused: bool, strict: None) -> None:
    """The same holds where a TestCase has transactions open on all of them."""
    assert crosses(block) == refused


@plain
def test_write__before_its_sql(strict: None, seen: list[tuple[str, str]]) -> None:
    """The second owner's write never reaches it; the error names both and the way out."""
    said = r"A write on 'analytics' inside a transaction in which 'default' was written.*allow_cross_owner_writes\("
    with transaction.atomic():
        User.objects.create(username="a")
        with assert_queries(), pytest.raises(CrossOwnerTransactionError, match=said):
            AnalyticsEvent.objects.create(user_id=1, kind="a", at="2026-01-01T00:00Z")

    assert seen == [("cross_owner_transaction", "analytics")]


@plain
def test_write__where_the_policy_warns(seen: list[tuple[str, str]]) -> None:
    """It goes on, and is counted once for each owner that joins a transaction."""
    with transaction.atomic():
        for alias in ("default", "analytics", "default", "analytics", "legacy"):
            write(alias)
    with transaction.atomic():
        two_owners_in_one_transaction()

    assert [alias for _, alias in seen] == ["analytics", "legacy", "analytics"]


@plain
def test_write__where_the_policy_allows(seen: list[tuple[str, str]]) -> None:
    """Nothing is noted."""
    with policy(cross_owner_transaction="allow"):
        two_owners_in_one_transaction()

    assert seen == []


@plain
def test_waiver__as_a_decorator(strict: None, caplog: pytest.LogCaptureFixture) -> None:
    """Of a function, plain or async; its reason is logged."""
    caplog.set_level(logging.DEBUG, "switchyard.routing.connections.transactions")
    waiver = allow_cross_owner_writes(reason="only a test")
    waived_writes = waiver(two_owners_in_one_transaction)

    async def crosses_in_a_thread() -> bool:
        try:
            return await sync_to_async(crosses)(two_owners_in_one_transaction)
        finally:
            await sync_to_async(connections.close_all)()

    waived_writes()
    assert waived_writes.__name__ == "two_owners_in_one_transaction"
    assert caplog.messages == ["Writes across owners are allowed: only a test"]

    assert asyncio.run(waiver(crosses_in_a_thread)()) is False
    assert asyncio.run(crosses_in_a_thread()) is True


@pytest.mark.parametrize("reason", ["", "  "])
def test_waiver__without_a_reason(reason: str) -> None:
    """It is refused."""
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
    """Refused is a write exactly where some open transaction has seen a write of another owner and none of this one."""
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
