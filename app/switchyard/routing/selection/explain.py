"""Why a read of a model goes where it goes, here and now. To look at, not to route by: asking leaves no trace."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.db import router
from django.db.models import Model

from switchyard.routing.decision import decision
from switchyard.routing.selection.routers import AppRouter, PrimaryReplicaRouter, djangos_choice
from switchyard.routing.selection.rules import RULES, Read
from switchyard.routing.session.context import Ledger, State, current
from switchyard.routing.topology.ownership import owner_of
from switchyard.routing.topology.replication import Replica, set_of

type _Answers = Mapping[Any, Callable[[], str | None]]


@dataclass(frozen=True)
class Asked:
    """A rule that was asked, and its answer: None where the read is none of those that it is about."""

    rule: str
    says: str
    alias: str | None


@dataclass(frozen=True)
class Explanation:
    """Where a read goes, and why."""

    model: str
    owner: str
    alias: str
    rule: str
    why: str
    asked: tuple[Asked, ...]  # in order, up to the one that decided
    replicas: tuple[Replica, ...]  # what is known about the owner's

    def __str__(self) -> str:
        return f"{self.model} is read from '{self.alias}' by rule '{self.rule}': {self.why}."


def explain_route(model: type[Model], instance: Model | None = None) -> Explanation:
    """Explain a read of the model here and now; `instance` is the one that it is asked from, as for a related row.

    Raises ImproperlyConfigured for an app that has no owner.
    """
    owner = owner_of(model)
    group = set_of(owner)
    read = Read(model, owner, instance, _apart(current()), group)
    asked = tuple(_asked(read))
    last = asked[-1]
    alias, answering = _answer(model, instance, alias=str(last.alias), rule=last.rule)
    ours = alias == last.alias
    return Explanation(
        model=model._meta.label,
        owner=owner,
        alias=alias,
        rule=last.rule if ours else answering,
        why=last.says if ours else f"{answering} answered before or instead of a rule",
        asked=asked,
        replicas=group.replicas,
    )


def written_to(model: type[Model]) -> str:
    """Return the alias that the installed routers write the model's rows to."""
    return _django_asks("db_for_write", {AppRouter.db_for_write: lambda: owner_of(model)}, model)[0]


def _asked(read: Read) -> Iterator[Asked]:
    """Yield the rules with their answers, up to the one that decides."""
    for rule in RULES:
        alias = rule.alias(read)
        yield Asked(rule.name, rule.says, alias)
        if alias is not None:
            return


def _answer(model: type[Model], instance: Model | None, *, alias: str, rule: str) -> tuple[str, str]:
    """Return where Django sends the read for which our rules choose the alias, and who says so."""
    left = decision(alias, rule).left and alias == djangos_choice(instance)
    ours: _Answers = {
        PrimaryReplicaRouter.db_for_read: lambda: None if left else alias,
        AppRouter.db_for_read: lambda: owner_of(model),
    }
    return _django_asks("db_for_read", ours, model, instance)


def _django_asks(method: str, ours: _Answers, model: type[Model], instance: Model | None = None) -> tuple[str, str]:
    """Ask the installed routers as Django does, and return the first answer and whose it is.

    Our own are answered for: to ask them would count as a query's decision.
    """
    hints = {} if instance is None else {"instance": instance}
    for each in router.routers:
        ask = getattr(each, method, None)
        our_answer = ours.get(getattr(ask, "__func__", None))
        if ask and (answer := our_answer() if our_answer else ask(model, **hints)):
            return answer, type(each).__name__
    return djangos_choice(instance), "Django's default"


def _apart(state: State) -> State:
    """Return the frame on a ledger of its own: to look whether a position is known by now takes it down."""
    copied = state.over()
    copied.ledger = Ledger()
    copied.ledger.last = dict(state.ledger.last)
    copied.ledger.owed = {owner: copy(owed) for owner, owed in state.ledger.owed.items()}
    return copied
