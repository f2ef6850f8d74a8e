"""Where a read goes, and by which rule. No I/O: what costs I/O is refreshed beside the decision, in monitor.py."""

import time
from collections.abc import Collection
from typing import Any, NamedTuple

from django.apps import apps
from django.core.signals import setting_changed
from django.db.models import Model

from switchyard.routing.connection_state import in_program_transaction, thread_connection
from switchyard.routing.decision import Decision, decision
from switchyard.routing.session.context import Ledger, State, Unplaced, current, is_process
from switchyard.routing.topology.ownership import app_of_rows, is_primary_only, owner_of, replicas_of, replicated_by
from switchyard.routing.topology.replication import Best, ReplicationSet, set_of


class OwnersDecisions(NamedTuple):
    """The decisions that send a read to its owner, by their rule."""

    instance: Decision
    in_transaction: Decision
    unsafe: Decision
    pinned: Decision
    down: Decision


def able(group: ReplicationSet, ledger: Ledger) -> list[str]:
    """Return the fit replicas that have what is owed, the best first."""
    owed = None if group.in_step else ledger.position(group.owner)
    if type(owed) is Unplaced:
        return []
    return [each.alias for each in group.fit if owed is None or each.has(owed)]


class Route:
    """What is the same for every read of a model: its owner, and the decisions there can be."""

    __slots__ = ("always", "by", "default", "group", "override", "owner", "several")

    def __init__(self, model: type[Model]) -> None:
        self.owner = owner_of(model)
        self.group = set_of(self.owner)
        replicas = replicas_of(self.owner)
        self.several = len(replicas) > 1
        self.default = {alias: decision(alias, "default") for alias in replicas}
        self.override = {alias: decision(alias, "override") for alias in (self.owner, *replicas)}
        self.by = OwnersDecisions(*(decision(self.owner, rule) for rule in OwnersDecisions._fields))
        self.always: Decision | None = None
        if not replicas:
            self.always = decision(self.owner, "owner")
        elif is_primary_only(app_of_rows(model)):
            self.always = decision(self.owner, "primary_only")


def decide(model: type[Model], hints: dict[str, Any] | None = None) -> Decision:
    """Decide where a read of the model goes."""
    route = routes.get(model) or route_of(model)
    return route.always or choose(route, hints.get("instance") if hints else None)


def choose(route: Route, instance: Model | None) -> Decision:  # noqa: PLR0911 - one return a rule
    """Decide by the rules in their order. Written for speed: rules.py has them one by one."""
    state = current()
    owner, group, by = route.owner, route.group, route.by
    best = group.best  # read once: another thread replaces it
    if state.held and (held := state.held.get(owner)):
        return route.override[held]
    if state.prefers:
        return route.override[best.replica.alias if best and state.prefers == "replica" else owner]
    if instance is not None and instance._state.db == owner:
        return by.instance
    connection = thread_connection(owner)
    if (connection.in_atomic_block or not connection.autocommit) and in_program_transaction(connection):
        return by.in_transaction
    if state.unsafe:
        return by.unsafe
    settled = state.ledger.settled
    if settled.judgement is group.judgement:
        return settled.default
    if best is None:
        fell_back(owner, state, "down")
        return by.down
    return _of_the_best(route, state, best)


def _of_the_best(route: Route, state: State, best: Best) -> Decision:
    """Decide for the best replica, or the one that this client read last, if it has what is owed."""
    owner, group, ledger = route.owner, route.group, state.ledger
    if route.several and (last := ledger.last.get(owner)) is not None:
        best = group.bests.get(last, best)
    replica = best.replica
    owed = None if group.in_step else ledger.owed.get(owner)
    if owed is not None and (type(owed) is Unplaced or not replica.has(owed)):
        return _of_the_able(route, state)
    if route.several and ledger.last.setdefault(owner, replica.alias) != replica.alias:
        return _of_the_able(route, state)
    ledger.settle(owner, owed, best)
    return best.default


def _of_the_able(route: Route, state: State) -> Decision:
    """Decide where the best replica will not do."""
    owner, ledger = route.owner, state.ledger
    aliases = able(route.group, ledger)
    if not aliases:
        fell_back(owner, state, "pinned")
        return route.by.pinned
    last = ledger.last.setdefault(owner, aliases[0]) if route.several else aliases[0]
    if last not in aliases:
        fell_back(owner, state, "down")
        return route.by.down
    return route.default[last]


def replica_for(group: ReplicationSet, ledger: Ledger) -> str | None:
    """Return the replica that this client may read: the one read last, or the best one that has what is owed."""
    aliases = able(group, ledger)
    last = ledger.last.get(group.owner) if len(group.replicas) > 1 else None
    if last is None:
        return aliases[0] if aliases else None
    # Another one may be behind what was seen there. From the owner, which has everything, the way back is by position.
    return last if last in aliases else None


def instead_of(alias: str, tried: Collection[str] = ()) -> str:
    """Return where a read goes that failed on the replica: to another fit one with what is owed, or to the owner."""
    owner = replicated_by(alias) or alias
    group, ledger = set_of(owner), current().ledger
    # What was read on the lost one bounds nothing: with several, only the owner is surely not behind it.
    if len(group.replicas) == 1 or owner not in ledger.last:
        others = able(group, ledger)
        if (other := next((each for each in others if each != alias and each not in tried), None)) is not None:
            return other
    fell_back(owner, current(), "down")
    return owner


def fell_back(owner: str, state: State, rule: str) -> None:
    """Take down that the owner was read in a replica's place: what was seen there is owed like a write.

    A process would never come back from `pinned`, as it reads on and on: it owes what it wrote, and no more.
    """
    if not set_of(owner).in_step and (rule == "down" or not is_process(state)):
        state.ledger.owe(owner, Unplaced(time.monotonic()))


routes: dict[type[Model], Route] = {}


def route_of(model: type[Model]) -> Route:
    """Return the model's route, found for the first time."""
    route = Route(model)
    # Migrations render model classes by the thousand; these are asked for once. The database cache's has no registry.
    if getattr(model._meta, "apps", None) is apps:
        routes[model] = route
    return route


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "DATABASES"}:
        routes.clear()


setting_changed.connect(_forget, dispatch_uid="switchyard.routing.selection.select")
