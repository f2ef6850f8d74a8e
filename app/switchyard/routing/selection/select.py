"""How a read is decided: the alias, and the rule that chose it. No I/O: the monitor publishes what servers say."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from django.apps import apps
from django.core.signals import setting_changed
from django.db.models import Model

from switchyard.positions import Position
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.decision import Decision, decision
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import RoutingContext, current, is_process_context
from switchyard.routing.topology.ownership import (
    app_of_rows,
    is_primary_only,
    owner_of,
    replicas_of,
    replicated_by,
)
from switchyard.routing.topology.replication import Candidate, Snapshot, replication_set


class OwnerDecisions(NamedTuple):
    """The decisions that send a read to its owner, by the name of their rule."""

    loaded_from_owner: Decision
    in_transaction: Decision
    unsafe_method: Decision
    pinned: Decision
    down: Decision


class ReadRoute:
    """What is the same for every read of a model: its owner, and the decisions that are possible."""

    __slots__ = ("fixed", "has_many", "override_decisions", "owner", "owner_decisions", "replication_set")

    def __init__(self, model: type[Model]) -> None:
        self.owner = owner_of(model)
        self.replication_set = replication_set(self.owner)
        replicas = replicas_of(self.owner)
        self.has_many = len(replicas) > 1
        self.override_decisions = {alias: decision(alias, "override") for alias in (self.owner, *replicas)}
        self.owner_decisions = OwnerDecisions(*(decision(self.owner, rule) for rule in OwnerDecisions._fields))
        self.fixed: Decision | None = None  # for every read of the model
        if not replicas:
            self.fixed = decision(self.owner, "owner")
        elif is_primary_only(app_of_rows(model)):
            self.fixed = decision(self.owner, "primary_only")


def decide(model: type[Model], instance: Model | None = None) -> Decision:
    """Decide where a read of the model goes; `instance` is the instance whose related rows are read."""
    return select(routes.get(model) or route_of(model), instance)


def select(route: ReadRoute, instance: Model | None) -> Decision:  # noqa: PLR0911 - one return for each rule
    """Apply the rules in the order of RULES. Runs in the way of every query, so its steps are few."""
    if route.fixed is not None:
        return route.fixed
    context, owner = current(), route.owner
    snapshot = route.replication_set.snapshot  # read once: the monitor's thread replaces it
    if not context.is_default:
        if alias := context.read_only_aliases.get(owner):
            return route.override_decisions[alias]
        if context.preference:
            preferred = snapshot.preferred if context.preference == "replica" else None
            return route.override_decisions[preferred.replica.alias if preferred else owner]
    # Never the instance's alias by itself: another owner may hold the rows of a child.
    if instance is not None and instance._state.db == owner:
        return route.owner_decisions.loaded_from_owner
    if program_transaction_on(owner) is not None:
        return route.owner_decisions.in_transaction
    if context.unsafe_method:
        return route.owner_decisions.unsafe_method
    cached = context.consistency.cached
    if cached.generation is snapshot.generation:
        return cached.decision
    return _select_replica(route, context, snapshot)


def _select_replica(route: ReadRoute, context: RoutingContext, snapshot: Snapshot) -> Decision:
    """Apply the rules about replicas: `pinned`, `replica` and `down`."""
    owner, consistency = route.owner, context.consistency
    if not snapshot.eligible:
        record_fallback(owner, context, "down")
        return route.owner_decisions.down
    required = None if snapshot.lag_free else consistency.required_position(owner)
    candidates = _caught_up(snapshot, required)
    if not candidates:
        record_fallback(owner, context, "pinned")
        return route.owner_decisions.pinned
    first = next(iter(candidates))
    # A client stays on the replica that it read last: another one may be behind it. Only the owner surely is not.
    candidate = candidates.get(consistency.last_replica.setdefault(owner, first) if route.has_many else first)
    if candidate is None:
        record_fallback(owner, context, "down")
        return route.owner_decisions.down
    consistency.remember(owner, required, candidate)
    return candidate.decision


def _caught_up(snapshot: Snapshot, required: Position | PendingPosition | None) -> Mapping[str, Candidate]:
    """Return the eligible replicas that have replayed the required position, the preferred replica first."""
    if required is None:
        return snapshot.candidates
    if type(required) is PendingPosition:
        return {}
    return {alias: each for alias, each in snapshot.candidates.items() if each.replica.caught_up_to(required)}


def caught_up_replicas(owner: str, consistency: ConsistencyState) -> list[str]:
    """Return the owner's fit replicas that have replayed the client's required position, the preferred one first."""
    snapshot = replication_set(owner).snapshot
    return list(_caught_up(snapshot, None if snapshot.lag_free else consistency.required_position(owner)))


def replica_for_client(owner: str, consistency: ConsistencyState) -> str | None:
    """Return the replica that this client may read: its last one, or the preferred caught-up one if it has none."""
    replicas = caught_up_replicas(owner, consistency)
    last = consistency.last_replica.get(owner) if len(replicas_of(owner)) > 1 else None
    if last is None:
        return replicas[0] if replicas else None
    return last if last in replicas else None


def fallback_alias(alias: str, tried: Collection[str] = ()) -> str:
    """Return where a read goes that failed on the replica: another caught-up replica, not in `tried`, or the owner.

    With several replicas, only the owner surely includes all reads of the lost replica.
    """
    owner = replicated_by(alias) or alias
    context = current()
    if len(replicas_of(owner)) == 1 or owner not in context.consistency.last_replica:
        others = caught_up_replicas(owner, context.consistency)
        if (other := next((each for each in others if each != alias and each not in tried), None)) is not None:
            return other
    record_fallback(owner, context, "down")
    return owner


def record_fallback(owner: str, context: RoutingContext, rule: str) -> None:
    """Record that the client is to read the owner in a replica's place: replicas must catch up with that read as well.

    Outside requests and tasks, pinned reads do not renew the pin; otherwise a long-running process would never return
    to its replicas.
    """
    if not replication_set(owner).snapshot.lag_free and (rule == "down" or not is_process_context(context)):
        context.consistency.begin_fallback_read(owner)


routes: dict[type[Model], ReadRoute] = {}


def route_of(model: type[Model]) -> ReadRoute:
    """Return the model's route, and keep it for the next read."""
    route = ReadRoute(model)
    # Migrations render thousands of model classes and read each once. The database cache's class has no registry.
    if getattr(model._meta, "apps", None) is apps:
        routes[model] = route
    return route


def _clear_caches(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"SWITCHYARD", "DATABASES"}:
        routes.clear()


setting_changed.connect(_clear_caches, dispatch_uid="switchyard.routing.selection.select")
