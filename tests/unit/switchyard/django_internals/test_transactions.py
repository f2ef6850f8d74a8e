"""Transactions: the order of calls in `atomic()`, and its private marks."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connections, transaction

in_testcase = pytest.mark.django_db(databases=["default"])


def test_atomic__order_of_calls(scratch: Callable[..., Any]) -> None:
    """Autocommit ends the transaction after the commit, when the block has left; then waiting functions run."""
    connection = scratch("set_autocommit", "on_commit", "commit")
    connection.ensure_connection()
    connection.noted.clear()
    with transaction.atomic("scratch"):
        transaction.on_commit(lambda: connection.noted.append(("ran", list(connection.atomic_blocks))), "scratch")

    (begin, argument), (on_commit, _, robust), (commit,), (end, autocommit), (ran, blocks) = connection.noted
    assert (begin, argument, on_commit, robust, commit) == ("set_autocommit", False, "on_commit", False, "commit")
    assert (end, autocommit, ran, blocks) == ("set_autocommit", True, "ran", [])


def test_atomic__blocks_and_savepoints(scratch: Callable[..., Any]) -> None:
    """`atomic_blocks` holds the entered objects; `savepoint_ids` has an entry for each but the block that began."""
    connection = scratch()
    outer, joined = transaction.atomic("scratch"), transaction.atomic("scratch", savepoint=False)
    with outer, transaction.atomic("scratch") as _, joined:
        assert (connection.in_atomic_block, connection.autocommit) == (True, False)
        assert connection.atomic_blocks[0] is outer
        assert connection.atomic_blocks[2] is joined
        first, without = connection.savepoint_ids
        assert (bool(first), without) == (True, None)
    assert (connection.atomic_blocks, connection.savepoint_ids, connection.in_atomic_block) == ([], [], False)

    connection.set_autocommit(False)
    with outer:
        (again,) = connection.savepoint_ids
        assert again not in {first, None}
    connection.rollback()
    connection.set_autocommit(True)


def test_atomic__closed_inside(scratch: Callable[..., Any]) -> None:
    """A connection that closes inside its transaction opens again for the next block, and turns autocommit on."""
    connection = scratch("set_autocommit")
    block = transaction.atomic("scratch")
    with block:
        connection.close()
    connection.noted.clear()
    with block:
        assert [call[:2] for call in connection.noted] == [("set_autocommit", True), ("set_autocommit", False)]


@in_testcase
def test_atomic__of_a_testcase() -> None:
    """`_from_testcase` marks the blocks of a TestCase, and no others."""
    with transaction.atomic():
        marks = [block._from_testcase for block in connections["default"].atomic_blocks]

    assert marks == [True] * (len(marks) - 1) + [False]
    assert len(marks) > 1


def test_non_atomic_requests__mark() -> None:
    """`non_atomic_requests()` puts a set of aliases on the view; ATOMIC_REQUESTS leaves these aliases out."""

    @transaction.non_atomic_requests(using="default")
    def view(_request: Any) -> None: ...

    assert vars(view)["_non_atomic_requests"] == {"default"}
    before = connections.settings["default"]["ATOMIC_REQUESTS"]
    connections.settings["default"]["ATOMIC_REQUESTS"] = True
    try:
        assert BaseHandler().make_view_atomic(view) is view
    finally:
        connections.settings["default"]["ATOMIC_REQUESTS"] = before
