"""The rule that sent a statement to its alias: the last decision about a table of the statement in this request.

A router decides about a model, and Django sends the statement right after that. Nothing connects the two, so the
decisions of a client are kept by alias and table, until the next decision about the same ones. A statement without such
a decision, by `using()` or a raw cursor, has no rule. Nothing is kept before `keep(True)`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db.models import Model

from switchyard.routing.decision import Decision
from switchyard.routing.session.consistency import ConsistencyState
from switchyard.routing.session.context import current
from switchyard.routing.topology.tables import table_of
from switchyard.sql import Statement

FAILOVER = "failover"  # a read that moved to another alias, because the server of the decided one failed
WRITE = "write"

type _Rules = dict[tuple[str, str], str]  # (alias, table) -> rule

are_kept = False
# With the client that the rules belong to: a thread that serves requests in turn has one context.
_rules: ContextVar[tuple[ConsistencyState, _Rules] | None] = ContextVar("switchyard.last_decisions", default=None)
_is_moved: ContextVar[bool] = ContextVar("switchyard.moved_read", default=False)


def keep(kept: bool) -> None:
    """Keep decisions from now on, or keep none."""
    global are_kept  # noqa: PLW0603 - one switch for the process, read by each decision
    are_kept = kept


def note(model: type[Model], decision: Decision) -> None:
    """Keep the decision until the next one about the same table on the same alias."""
    consistency = current().consistency
    kept = _rules.get()
    if kept is None or kept[0] is not consistency:
        kept = (consistency, {})
        _rules.set(kept)
    kept[1][decision.alias, table_of(model)] = decision.rule


@contextmanager
def moved_read() -> Iterator[None]:
    """Give the read in this block the reason `failover`."""
    token = _is_moved.set(True)
    try:
        yield
    finally:
        _is_moved.reset(token)


def reason_of(alias: str, statement: Statement) -> str | None:
    """Return why the statement runs on the alias: a rule's name, `write`, `failover`; None if nobody decided."""
    if statement.operation == WRITE:
        return WRITE
    if statement.operation != "read":
        return None
    if _is_moved.get():
        return FAILOVER
    kept = _rules.get()
    if kept is None or kept[0] is not current().consistency:
        return None
    return next((rule for table in statement.tables if (rule := kept[1].get((alias, table)))), None)
