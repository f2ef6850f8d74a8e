"""The cost of telling what happens: of a query that is counted, of a request that is logged, and of a scrape.

`make bench-telemetry`. Switchyard, plain Django and django-prometheus run in turn, each in a process of its own with a
directory for its metrics, as each of several workers of a service does.
"""

import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.pair import KNOWN, VALUE, direct, primary_with
from tests.bench.results import SMALL, Result, at_most, finish
from tests.bench.rounds import contenders, difference, environment, in_turn, ratio
from tests.bench.scrapes import RESTARTS, restarted
from tests.bench.service.stacks import VENDORS
from tests.support.replicas import start_mariadb
from tests.support.servers import Servers

CONTENDERS = ("switchyard", "plain", "prometheus")
QUERY_BAR = 2.0  # us more than plain Django, of a processor
REQUEST_BAR = 1.03  # to plain Django, which logs the same line
SCRAPE_BAR, RESTARTS_BAR = 15.0, 1.2  # ms; ratio of a scrape after the restarts to a scrape before them
PROCESSES = 1 if SMALL else 5  # of each contender, one after the other: two processes of one program differ by 2 %
ROUNDS, QUERIES, REQUESTS = (60, 50, 20) if SMALL else (200, 50, 20)

_TABLE = "CREATE TABLE bench_row (id integer PRIMARY KEY, `key` varchar(64), value integer)"
_ROW = f"INSERT INTO bench_row VALUES (1, '{KNOWN}', {VALUE})"


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    with TemporaryDirectory(dir="/dev/shm") as scratch, primary_with("replica") as servers:
        environs = dict(made(servers, Path(scratch)))
        results = [*queries(environs), *requests(environs), *scrapes(environs)]
    return finish("telemetry", results)


def made(servers: Servers, scratch: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Make the other two databases; yield the environment of each contender."""
    start_mariadb(servers, "legacy")
    servers.ask("legacy", _TABLE, _ROW)
    with sqlite3.connect(scratch / "analytics.sqlite3") as connection:
        connection.execute(_TABLE)
        connection.execute(_ROW)
    variables = {
        **direct(servers),
        "DATABASE_ANALYTICS_URL": f"sqlite:///{scratch / 'analytics.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "tests.bench.service.telemetry_settings",
        "LEGACY_WRITABLE": "true",
    }
    for stack in CONTENDERS:
        directory = scratch / stack
        directory.mkdir()
        metrics = {"switchyard": "METRICS_DIR", "prometheus": "PROMETHEUS_MULTIPROC_DIR"}.get(stack)
        yield stack, environment(stack, **variables, **({metrics: str(directory)} if metrics else {}))


def queries(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield what counting adds to a query, in time of a processor: the rest of a query is a wait for the server."""
    times = measured(environs, VENDORS, QUERIES, "--cpu")
    for vendor in VENDORS:
        plain = times[f"{vendor}, plain"]
        yield Result(f"query on {vendor}, plain", round(median(plain) / 1000, 1), "us")
        added = {name: round(difference(times[f"{vendor}, {name}"], plain) / 1000, 2) for name in CONTENDERS}
        yield at_most(f"query on {vendor}, switchyard more", added["switchyard"], "us", QUERY_BAR)
        yield Result(f"query on {vendor}, prometheus more", added["prometheus"], "us")


def requests(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield the cost of a request with routing, metrics and its log line, beside one with the log line alone."""
    times = measured(environs, ["request"], REQUESTS)
    for name, nanoseconds in times.items():
        yield Result(name, round(median(nanoseconds) / 1000, 1), "us")
    found = {name: round(ratio(times[f"request, {name}"], times["request, plain"]), 4) for name in CONTENDERS}
    yield at_most("request, switchyard to plain", found["switchyard"], "ratio", REQUEST_BAR)
    yield Result("request, prometheus to plain", found["prometheus"], "ratio")


def measured(
    environs: Mapping[str, Mapping[str, str]], workloads: Iterable[str], calls: int, *options: str
) -> dict[str, list[float]]:
    """Return the nanoseconds of a call, by workload and contender, over several processes of each contender."""
    times: dict[str, list[float]] = {}
    for _ in range(PROCESSES):
        with contenders("tests.bench.counted", environs, *options) as started:
            turns = {f"{each}, {name}": (contender, each) for each in workloads for name, contender in started.items()}
            for turn, nanoseconds in in_turn(turns, rounds=ROUNDS, calls=calls).items():
                times.setdefault(turn, []).extend(nanoseconds)
    return times


def scrapes(environs: Mapping[str, Mapping[str, str]]) -> Iterator[Result]:
    """Yield the time of a scrape of four workers, before and after restarts of them."""
    for stack in ("switchyard", "prometheus"):
        before, after = restarted(stack, environs[stack])
        rows = (
            (f"scrape of 4 workers, {stack}", round(before * 1000, 1), "ms", SCRAPE_BAR),
            (f"scrape after {RESTARTS} restarts, {stack}", round(after / before, 3), "ratio", RESTARTS_BAR),
        )
        for name, value, unit, bar in rows:
            yield at_most(name, value, unit, bar if stack == "switchyard" else None)


if __name__ == "__main__":
    sys.exit(main())
