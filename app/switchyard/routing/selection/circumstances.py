"""Where a read would go in other circumstances than those of now, by the rules of `select()`. Changes nothing."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

from django.db.models import Model

from switchyard.routing.connection_state import assume_transaction
from switchyard.routing.selection.select import ReadRoute
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import RoutingContext, activate


@dataclass(frozen=True)
class Circumstances:
    """What holds for a read of a client that has done nothing else yet."""

    in_transaction: bool = False  # a transaction of the program is open on the owner
    has_written: bool = False  # the client has just written, and no replica is known to have replayed it
    unsafe_method: bool = False  # the request has another method than GET, HEAD, OPTIONS and TRACE
    replicas_down: bool = False  # no replica answers


@contextmanager
def supposed(model: type[Model], circumstances: Circumstances) -> Iterator[ReadRoute]:
    """Put the circumstances in force in this block and this thread; yield the route of the model in them."""
    route = ReadRoute(model)
    consistency = ConsistencyState()
    if circumstances.has_written:
        consistency.require(route.owner, PendingPosition(math.inf))
    if circumstances.replicas_down:
        route.replication_set = copy(route.replication_set)  # the one of this process keeps its snapshot
        replicas = route.replication_set.snapshot.replicas
        route.replication_set.replace_snapshot(replica._replace(unfit_reason="down") for replica in replicas)
    context = RoutingContext(consistency, in_request=True, unsafe_method=circumstances.unsafe_method)
    with activate(context), assume_transaction(route.owner, is_open=circumstances.in_transaction):
        yield route
