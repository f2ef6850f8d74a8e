"""The cost of a condition over keys of another database, beside the guide's list of keys and beside a join.

`make bench-crossdb`. Users are on one PostgreSQL and their events on another one, which also has the same users, for
the join; then the users are on a MySQL. The three ways run in turn, each in a process of its own. A contender without
Switchyard is plain Django without routers. At last users are deleted, with and without the trigger that records it.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from tests.bench.crossdb_deletes import deletes
from tests.bench.crossdb_tables import EVENTS, USERS, fill, fill_mysql, since_events, since_keys
from tests.bench.pair import direct
from tests.bench.peaks import peak_bytes
from tests.bench.results import SMALL, Result, at_most, exit_without_servers, finish
from tests.bench.rounds import Contender, contenders, environment, in_turn, ratio
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, POSTGRESQL

WAYS = ("switchyard", "list", "join")
MOST = 100_000 if SMALL else 1_000_000  # keys of the rows that are about many keys
KEYS = tuple(keys for keys in (1_000, 10_000, 100_000, 1_000_000) if keys <= MOST)
ROUNDS = {1_000: 40, 10_000: 20, 100_000: 6, 1_000_000: 3}
TO_LIST = {100_000: 0.5, 1_000_000: 0.2}  # bars of the ratio, by the number of keys
TO_JOIN = {1_000: 1.5, 10_000: 1.5, 1_000_000: 3.0}
FIRST_BAR = 3.0  # ratio to the join
MYSQL_BAR = None if SMALL else 0.25  # ratio to the list, whose time grows faster than the number of keys
MEMORY_BAR, GROWTH_BAR = 10.0, 1.0  # MB of 1,000,000 bytes: at MOST keys; from there to all events as keys
ATTACHED_BAR, ATTACHED_MEMORY_BAR = 0.9, 20.0  # ratio to the join that streams as well; MB
READS, ATTACHED = "tests.bench.crossdb_reads", "tests.bench.crossdb_attached"


@exit_without_servers()
def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    with network_of_servers(POSTGRESQL, MYSQL) as servers:
        fill(servers)
        since = {keys: since_keys(servers, keys) for keys in (*KEYS, USERS)} | {EVENTS: since_events(EVENTS)}
        environs = made(servers, since)
        with contenders(READS, environs) as started:
            results = [*semi_joins(started), *others(started)]
        results += memory(environs)
        results += attached(made(servers, {events: since_events(events) for events in (1_000, MOST)}))
        results += deletes(servers, "default", first=1)
        servers.remove("default")  # not more than two servers at once
        fill_mysql(servers)
        results += on_mysql(made(servers, since))
        results += deletes(servers, "legacy", first=1)
    return finish("crossdb", results)


def made(servers: Servers, since: Mapping[int, str]) -> dict[str, dict[str, str]]:
    """Return the environment of each way. The users are on `default`, or on `legacy` if that server runs."""
    urls = direct(servers)
    users = urls.get("DATABASE_LEGACY_URL") or urls["DATABASE_DEFAULT_URL"]
    variables = {"DATABASE_DEFAULT_URL": users, "DATABASE_ANALYTICS_URL": urls["DATABASE_ANALYTICS_URL"]}
    return {
        way: environment(
            "switchyard" if way == "switchyard" else "plain", **variables, BENCH_WAY=way, BENCH_SINCE=json.dumps(since)
        )
        for way in WAYS
    }


def semi_joins(started: Mapping[str, Contender]) -> Iterator[Result]:
    """Yield the time of all rows as tuples, by the number of keys."""
    for keys in KEYS:
        yield from compared(
            started, f"tuples {keys}", ROUNDS[keys], to_list=TO_LIST.get(keys), to_join=TO_JOIN.get(keys)
        )


def others(started: Mapping[str, Contender]) -> Iterator[Result]:
    """Yield the time of other uses of many keys."""
    for form in ("instances", "iterator", "count"):
        yield from compared(started, f"{form} {MOST}", ROUNDS[MOST])
    yield from compared(started, f"first {MOST}", ROUNDS[MOST], to_join=FIRST_BAR)


def memory(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield the memory of the client over its base, while the rows are read and not kept."""
    for form in ("iterator", "count"):
        found = {}
        for keys in (10_000, MOST, EVENTS):
            workload = f"{form} {keys}"
            found[keys] = peak_bytes(READS, environs["switchyard"], workload, before=f"{form} 1000") / 1e6
            name = f"memory of {shown(workload)}, switchyard"
            value = round(found[keys], 1)
            yield at_most(name, value, "MB", MEMORY_BAR if keys == MOST else None)
        grown = round(found[EVENTS] - found[MOST], 1) or 0.0  # not -0.0
        yield at_most(f"memory of {form}, more for {EVENTS:,} keys than for {MOST:,}", grown, "MB", GROWTH_BAR)
        for way in ("list", "join"):
            peak = peak_bytes(READS, environs[way], f"{form} {MOST}", before=f"{form} 1000") / 1e6
            yield Result(f"memory of {shown(f'{form} {MOST}')}, {way}", round(peak, 1), "MB")


def attached(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield time and memory of events with the name of their user, beside a join that streams or returns a list."""
    with contenders(ATTACHED, {way: environs[way] for way in ("switchyard", "join")}) as started:
        ours, join = started["switchyard"], started["join"]
        for form in ("tuples", "instances"):
            turns = {
                "switchyard": (ours, f"{form} {MOST}"),
                "join": (join, f"{form} {MOST}"),
                "join in a list": (join, f"list of {form} {MOST}"),
            }
            times = in_turn(turns, rounds=ROUNDS[MOST], calls=1)
            name = f"user attached to {MOST:,} events, {form}"
            yield from medians(name, times)
            value = round(ratio(times["switchyard"], times["join"]), 3)
            yield at_most(f"{name}, switchyard to join", value, "ratio", ATTACHED_BAR)
            value = round(ratio(times["switchyard"], times["join in a list"]), 3)
            yield Result(f"{name}, switchyard to join in a list", value, "ratio")
    for way in ("switchyard", "join"):
        for form in ("tuples", "instances"):
            peak = round(peak_bytes(ATTACHED, environs[way], f"{form} {MOST}", before=f"{form} 1000") / 1e6, 1)
            name = f"memory of {MOST:,} events with their user, {form}, {way}"
            yield at_most(name, peak, "MB", ATTACHED_MEMORY_BAR if way == "switchyard" else None)


def on_mysql(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield the time of all rows as tuples, with the users on MySQL."""
    ways = {way: environs[way] for way in ("switchyard", "list")}
    with contenders(READS, ways) as started:
        yield from compared(started, f"tuples {MOST}", 2, to_list=MYSQL_BAR, where="MySQL: ")


def compared(
    started: Mapping[str, Contender],
    workload: str,
    rounds: int,
    *,
    to_list: float | None = None,
    to_join: float | None = None,
    where: str = "",
) -> Iterator[Result]:
    """Yield the time of each way, and the ratios of Switchyard's time to the others' in the same round."""
    times = in_turn({way: (contender, workload) for way, contender in started.items()}, rounds=rounds, calls=1)
    name = where + shown(workload)
    yield from medians(name, times)
    for way, bar in (("list", to_list), ("join", to_join)):
        if way in times:
            value = round(ratio(times["switchyard"], times[way]), 3)
            yield at_most(f"{name}, switchyard to {way}", value, "ratio", bar)


def medians(name: str, times: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    """Yield the median time of each way."""
    for way, nanoseconds in times.items():
        milliseconds = round(median(nanoseconds) / 1e6, 1)
        print(f"{name}, {way}: {milliseconds} ms", file=sys.stderr)  # a run takes minutes
        yield Result(f"{name}, {way}", milliseconds, "ms")


def shown(workload: str) -> str:
    """Return the workload for people: `tuples 1000` as `tuples of 1,000 keys`."""
    form, keys = workload.split()
    return f"{form} of {int(keys):,} keys"


if __name__ == "__main__":
    sys.exit(main())
