"""The cost of a deletion that is recorded, beside the same deletion without the trigger."""

from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median
from time import perf_counter
from typing import Any

from tests.bench.results import SMALL, Result, at_most
from tests.support.servers import Servers
from tests.support.vendors import POSTGRESQL

BATCH, ROUNDS = 1_000, 10 if SMALL else 40
BAR = 1.3
NAME = "deletions_analytics_analyticsevent_user_id_delete"


def deletes(servers: Servers, alias: str, first: int) -> Iterator[Result]:
    """Delete users by their keys from `first` on, a batch with the trigger and a batch without it in turn."""
    vendor = servers.by_alias[alias].vendor
    times: dict[bool, list[float]] = {True: [], False: []}
    with closing(servers.admin(alias)) as connection, closing(connection.cursor()) as cursor:
        switch = _postgresql(cursor) if vendor is POSTGRESQL else _mysql(cursor)
        for number in range(ROUNDS):
            for recorded in (True, False) if number % 2 else (False, True):
                switch(recorded)
                keys = ", ".join(map(str, range(first, first + BATCH)))
                first += BATCH
                began_at = perf_counter()
                cursor.execute(f"DELETE FROM accounts_user WHERE id IN ({keys})")
                times[recorded].append(perf_counter() - began_at)
        switch(True)
    name = f"deletion of {BATCH:,} users on {vendor.scheme}"
    for recorded, seconds in times.items():
        yield Result(f"{name}, {'recorded' if recorded else 'not recorded'}", round(median(seconds) * 1e3, 2), "ms")
    ratios = [with_it / without for with_it, without in zip(times[True], times[False], strict=True)]
    yield at_most(f"{name}, recorded to not recorded", round(median(ratios), 3), "ratio", BAR)


def _postgresql(cursor: Any) -> Callable[[bool], None]:
    def switch(on: bool) -> None:
        cursor.execute(f"ALTER TABLE accounts_user {'ENABLE' if on else 'DISABLE'} TRIGGER {NAME}")

    return switch


def _mysql(cursor: Any) -> Callable[[bool], None]:
    """MySQL cannot disable a trigger: remove it, and make it again."""
    cursor.execute(f"SHOW CREATE TRIGGER {NAME}")
    statement = cursor.fetchone()[2]
    is_on = True

    def switch(on: bool) -> None:
        nonlocal is_on
        if on != is_on:
            cursor.execute(statement if on else f"DROP TRIGGER {NAME}")
        is_on = on

    return switch
