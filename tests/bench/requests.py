"""The cost of routing for a query, a whole read request and a write, on a real primary and its standby.

`make bench-requests`. Compared queries and requests run in turn in one process; stacks, which need a process each, also
run in turn. Round trips are counted on the way to the primary.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from tests.bench.pair import direct, primary_with, variables
from tests.bench.results import SMALL, Result, at_most, finish
from tests.bench.rounds import STACKS, Contender, contenders, environment, in_turn, ratio
from tests.bench.trips import counted_trips
from tests.support.servers import Servers

GET_BAR, REQUEST_BAR, TRIPS_BAR = 1.01, 1.03, 1.0
ROUNDS, CALLS = (200, 10) if SMALL else (3_000, 10)
WRITES = 50 if SMALL else 500
APPLICATION = "switchyard"  # the name on the connections of the service; the monitor's connections have another name


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    with primary_with("replica") as servers:
        environs = {stack: environment(stack, **direct(servers)) for stack in STACKS}
        with contenders("tests.bench.exchanges", environs) as started:
            results = [*queries(started["switchyard"]), *requests(started["switchyard"]), *stacks(started)]
        return finish("requests", [*results, *round_trips(servers, STACKS)])


def queries(ours: Contender) -> Iterator[Result]:
    """Yield the cost of `get()` beside the same query with a given alias."""
    times = in_turn(
        {name: (ours, name) for name in ("get()", "db_manager().get()", "using().get()")}, rounds=ROUNDS, calls=CALLS
    )
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds) / 1000, 1), "us")
    floor = times["db_manager().get()"]
    yield at_most("get(), to db_manager('replica').get()", round(ratio(times["get()"], floor), 4), "ratio", GET_BAR)
    yield Result(
        "using('replica').get(), to db_manager('replica').get()",
        round(ratio(times["using().get()"], floor), 4),
        "ratio",
    )


def requests(ours: Contender) -> Iterator[Result]:
    """Yield the cost of a read request beside a request with a wired alias, and one without the routing middleware."""
    times = in_turn({name: (ours, name) for name in ("read request", "wired read request")}, rounds=ROUNDS, calls=CALLS)
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds) / 1000, 1), "us")
    value = round(ratio(times["read request"], times["wired read request"]), 4)
    yield at_most("read request, to the same with using('replica')", value, "ratio", REQUEST_BAR)


def stacks(started: Mapping[str, Contender]) -> Iterator[Result]:
    """Yield the cost of our requests beside the other stacks, each with its own middleware."""
    turns = {
        f"{workload}, {stack}": (contender, workload)
        for workload in ("read request", "write request")
        for stack, contender in started.items()
    }
    turns["read request, plain, wired"] = (started["plain"], "wired read request")
    times = in_turn(turns, rounds=ROUNDS // 4, calls=CALLS)
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds) / 1000, 1), "us")
    for name in times:
        workload, _, stack = name.partition(", ")
        if stack != "switchyard":
            yield Result(
                f"{workload}, to {stack}", round(ratio(times[f"{workload}, switchyard"], times[name]), 3), "ratio"
            )


def round_trips(servers: Servers, names: Iterable[str]) -> Iterator[Result]:
    """Yield the round trips of a write, and the difference to plain Django."""
    made = {}
    with counted_trips(servers.by_alias["default"].port) as trips:
        through = variables(servers, "replica") | {"DATABASE_DEFAULT_URL": servers.url("default", port=trips.port)}
        environs = {stack: environment(stack, **through) for stack in names}
        with contenders("tests.bench.exchanges", environs) as started:
            for stack, contender in started.items():
                contender.nanoseconds("write request", 5)  # opens the connection
                before = trips.made[APPLICATION]
                contender.nanoseconds("write request", WRITES)
                # Before the timed requests a round makes one request and checks its response.
                made[stack] = (trips.made[APPLICATION] - before) / (WRITES + 1)
                yield Result(f"write request, {stack}", round(made[stack], 3), "round trips")
    added = made["switchyard"] - made["plain"]
    yield at_most("write request, more than plain Django's", round(added, 3), "round trips", TRIPS_BAR)


if __name__ == "__main__":
    sys.exit(main())
