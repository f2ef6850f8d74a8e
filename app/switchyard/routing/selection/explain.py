"""Why a read of a model goes to its alias, here and now; for one model and for all. Asking changes nothing."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.models import Model

from switchyard.routing.decision import Decision
from switchyard.routing.selection.circumstances import Circumstances, supposed
from switchyard.routing.selection.routers import AppRouter, PrimaryReplicaRouter, djangos_choice
from switchyard.routing.selection.rules import RULES
from switchyard.routing.selection.select import decide, select
from switchyard.routing.session.context import RoutingContext, activate, current
from switchyard.routing.topology.ownership import is_read_only, owner_of
from switchyard.routing.topology.replication import Replica, replication_set

type _Answers = Mapping[Any, Callable[[], str | None]]


@dataclass(frozen=True)
class RuleResult:
    """A rule that was tried, and its alias; None if the rule does not decide this read."""

    rule: str
    description: str
    alias: str | None


@dataclass(frozen=True)
class Explanation:
    """Where a read goes, and why.

    `results` are the rules in their order, up to the rule that decided; `replicas` says what is known about each
    replica of the owner. If another router answers, `rule` is the name of its class.
    """

    model: str
    owner: str
    alias: str
    rule: str
    why: str
    results: tuple[RuleResult, ...]
    replicas: tuple[Replica, ...]

    def __str__(self) -> str:
        return f"{self.model} is read from '{self.alias}' by rule '{self.rule}': {self.why}."


@dataclass(frozen=True)
class WriteExplanation:
    """Where a write goes, and why. If another router answers, `rule` is the name of its class."""

    alias: str
    rule: str
    why: str


@dataclass(frozen=True)
class ModelRoute:
    """The aliases of one model; `migrate` is empty if no migration makes its table."""

    model: str
    table: str
    read: str
    write: str
    migrate: str
    rule: str


def explain_route(model: type[Model], instance: Model | None = None) -> Explanation:
    """Explain where a read of the model goes, here and now. Makes no query, counts nothing, changes no state.

    `instance` is the instance whose related rows are read. Raises ImproperlyConfigured for an app without an owner.

        >>> str(explain_route(Order))
        "shop.Order is read from 'replica' by rule 'replica': a fit replica that has caught up."
    """
    with activate(_isolated(current())):
        chosen = decide(model, instance)
    return _explanation(model, instance, chosen)


def explain_supposed_route(model: type[Model], circumstances: Circumstances) -> Explanation:
    """Explain where a read of the model would go in these circumstances. Otherwise as `explain_route()`."""
    with supposed(model, circumstances) as route:
        return _explanation(model, None, select(route, None))


def explain_write(model: type[Model]) -> WriteExplanation:
    """Explain where writes of the model go. Makes no query, counts nothing, changes no state."""
    owner = owner_of(model)
    alias, answering = _ask_routers("db_for_write", {AppRouter.db_for_write: lambda: owner}, model)
    if alias != owner:
        return WriteExplanation(alias, answering, f"{answering} answered in place of the owner")
    if is_read_only(owner):
        return WriteExplanation(
            alias,
            "write",
            "a write goes to the owner, which SWITCHYARD['READ_ONLY'] names: refused outside allow_writes()",
        )
    return WriteExplanation(alias, "write", "a write goes to the owner")


def _explanation(model: type[Model], instance: Model | None, chosen: Decision) -> Explanation:
    results = _results(chosen)
    alias, answering = _answer(model, instance, chosen)
    is_ours = alias == chosen.alias
    owner = owner_of(model)
    return Explanation(
        model=model._meta.label,
        owner=owner,
        alias=alias,
        rule=chosen.rule if is_ours else answering,
        why=results[-1].description if is_ours else f"{answering} answered before or instead of a rule",
        results=results,
        replicas=replication_set(owner).snapshot.replicas,
    )


def route_table() -> list[ModelRoute]:
    """Return the route of every model as the installed routers decide it here and now, in the order of the apps."""
    return [_model_route(model) for model in apps.get_models(include_auto_created=True)]


def written_to(model: type[Model]) -> str:
    """Return the alias to which the installed routers send writes of the model."""
    return explain_write(model).alias


def _model_route(model: type[Model]) -> ModelRoute:
    options = model._meta
    has_migrations = options.managed and not options.proxy and not options.swapped
    read = explain_route(model)
    return ModelRoute(
        model=options.label,
        table=options.db_table,
        read=read.alias,
        write=written_to(model),
        migrate=", ".join(a for a in connections if has_migrations and router.allow_migrate_model(a, model)),
        rule=read.rule,
    )


def _results(chosen: Decision) -> tuple[RuleResult, ...]:
    tried = RULES[: [rule.name for rule in RULES].index(chosen.rule) + 1]
    return tuple(
        RuleResult(rule.name, rule.description, chosen.alias if rule.name == chosen.rule else None) for rule in tried
    )


def _answer(model: type[Model], instance: Model | None, chosen: Decision) -> tuple[str, str]:
    """Return the alias to which Django sends the read for which our rules made the decision, and who answered."""
    defers = chosen.may_defer and chosen.alias == djangos_choice(instance)
    ours: _Answers = {
        PrimaryReplicaRouter.db_for_read: lambda: None if defers else chosen.alias,
        AppRouter.db_for_read: lambda: owner_of(model),
    }
    return _ask_routers("db_for_read", ours, model, instance)


def _ask_routers(method: str, ours: _Answers, model: type[Model], instance: Model | None = None) -> tuple[str, str]:
    """Ask the installed routers as Django does; return the first answer and the name of its router.

    Our own routers are not called, because they count each call as the decision of a query.
    """
    hints = {} if instance is None else {"instance": instance}
    for each in router.routers:
        ask = getattr(each, method, None)
        our_answer = ours.get(getattr(ask, "__func__", None))
        if ask and (answer := our_answer() if our_answer else ask(model, **hints)):
            return answer, type(each).__name__
    return djangos_choice(instance), "Django's default"


def _isolated(context: RoutingContext) -> RoutingContext:
    """Return the context with a copy of its consistency state: a decision may resolve and record positions there."""
    consistency = context.consistency.copy()
    consistency.required = {owner: copy(required) for owner, required in consistency.required.items()}
    return context.derive(consistency=consistency)
