"""The open transactions of a thread, without a database: connections only look as they do in a transaction."""

from django.db import connections
from tests.support.transactions import transaction

from switchyard.routing.connection_state import program_transaction_on


def test_program_transaction_on__kinds() -> None:
    """A transaction of the program counts, with or without `atomic()`; a transaction of a TestCase does not."""
    counted = {}
    for kind in ("none", "testcase", "own", "own in testcase", "closed", "begun"):
        with transaction(kind):
            counted[kind] = program_transaction_on("default") is not None

    assert counted == {
        "none": False, "testcase": False, "own": True, "own in testcase": True, "closed": False, "begun": True
    }  # fmt: skip


def test_program_transaction_on__is_the_connection_of_the_thread() -> None:
    """The function returns the object that `connections` has for this thread."""
    with transaction("own"):
        assert program_transaction_on("default") is connections["default"]
        assert program_transaction_on("replica") is None


def test_program_transaction_on__closed_inside_a_transaction() -> None:
    """A transaction whose connection was closed is not open any more, though nothing reported its end."""
    with transaction("own"):
        connections["default"].in_atomic_block, connections["default"].connection = False, None

        assert program_transaction_on("default") is None
