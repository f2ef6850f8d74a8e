"""Parents are deleted under load while workers are killed and databases restarted: no orphan, no wrong deletion.

`make soak-deletions` runs each pair of servers: users on one, their events on the other; `python -m
tests.bench.crossdb_deletions mysql:postgresql` runs one of the pairs. `crossdb_load.py` deletes and inserts.
Two workers run; one of them is killed again and again. At the end the rows of both servers are compared one by one.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

import psycopg
from tests.bench.results import ROOT, SMALL, Result, at_least, at_most, exit_without_servers, finish
from tests.support.servers import Servers, network_of_servers
from tests.support.service import OURS, SECRETS
from tests.support.vendors import MYSQL, POSTGRESQL
from tests.support.waiting import until

USERS, KILLS = (4_000, 4) if SMALL else (112_300, 50)  # of the users 100,054 are deleted
EVENTS_OF_USER = 3
SECONDS_OF_KILL = 4.0  # the start of a worker, and the time until it is killed
SEED = 20_261_130
PAIRS = ("postgresql:postgresql", "postgresql:mysql", "mysql:postgresql")  # of the users and of the events
WAITING = "SELECT count(*) FROM switchyard_tombstone WHERE state = 0"


@dataclass
class Found:
    """What the servers have at the end."""

    deleted: int
    orphans: int
    audited: int  # orphans, by crossdb_audit
    wrongly_deleted: int
    set_aside: int
    kills: int


@exit_without_servers()
def main() -> int:
    """Run all pairs of vendors, print and write; the exit code says whether nothing was lost."""
    results: list[Result] = []
    chosen = sys.argv[1:] or PAIRS
    if not set(chosen) <= set(PAIRS):
        raise SystemExit(f"There is no such pair of servers: {' '.join(chosen)}. Name some of: {' '.join(PAIRS)}.")
    for pair in chosen:
        parents, children = pair.split(":")
        found = deletions(parents, children, users=USERS, kills=KILLS, seed=SEED)
        name = f"users on {parents}, events on {children}"
        print(f"{name}: {found}", file=sys.stderr)
        results += [
            at_least(f"{name}: deleted users", found.deleted, "users", 0.89 * USERS),
            at_least(f"{name}: kills of a worker", found.kills, "kills", KILLS),
            at_most(f"{name}: orphans", found.orphans, "events", 0),
            at_most(f"{name}: orphans by crossdb_audit", found.audited, "events", 0),
            at_most(f"{name}: wrongly deleted", found.wrongly_deleted, "events", 0),
            at_most(f"{name}: set aside", found.set_aside, "tombstones", 0),
        ]
    return finish("deletions", results)


def deletions(parents: str, children: str, *, users: int, kills: int, seed: int) -> Found:
    """Run the load on new servers of these vendors, and return what is there at the end."""
    with network_of_servers(POSTGRESQL, MYSQL) as servers:
        start = {"postgresql": servers.start_postgres, "mysql": servers.start_mysql}
        for alias, vendor in (("default", parents), ("analytics", children)):
            start[vendor](alias)
            servers.answers(alias)
        manage(servers.environ("migrator"), "migrate_all")
        return deletions_on(servers, users=users, kills=kills, seed=seed)


def deletions_on(servers: Servers, *, users: int, kills: int, seed: int) -> Found:
    """Run the load on the empty tables of `default` and `analytics`, and return what is there at the end."""
    fill(servers, users)
    environ = servers.environ()
    with loaded(environ, users, kills * SECONDS_OF_KILL, seed) as load, workers(environ) as started:
        kill_and_restart(servers, started, kills, random.Random(seed))
        assert load.stdout
        assert load.stdout.readline() == "deleted\n"
        printed, _ = load.communicate("")
    assert servers.by_alias["default"].vendor is MYSQL or refuses_truncate(servers)
    until(lambda: servers.ask("default", WAITING)[0][0] == 0 or once(environ), "all is handled", seconds=300)
    manage(environ, "crossdb_worker", "--once", "--recheck")
    audit = manage(environ, "crossdb_audit", "--json")
    return compared(servers, json.loads(printed), users, kills, audited=json.loads(audit.stdout)[0]["orphans"])


def fill(servers: Servers, users: int) -> None:
    """Insert the users, and three events of each."""
    numbers = f"WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {users})"
    inserts = {
        "default": (
            "INSERT INTO accounts_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
            f" is_active, date_joined) {numbers}"
            " SELECT n, concat('user-', n), '!', '', '', '', false, false, true, now() FROM numbers"
        ),
        "analytics": (
            f"INSERT INTO analytics_analyticsevent (id, user_id, kind, at) {numbers}, copies AS (SELECT 0 AS copy"
            f" UNION ALL SELECT copy + 1 FROM copies WHERE copy < {EVENTS_OF_USER - 1})"
            f" SELECT n + {users} * copy, n, 'first', '2026-01-01' FROM numbers CROSS JOIN copies"
        ),
    }
    for alias, statement in inserts.items():
        is_mysql = servers.by_alias[alias].vendor is MYSQL
        limit = [f"SET SESSION cte_max_recursion_depth = {users}"] if is_mysql else []
        servers.ask(alias, *limit, statement)


def kill_and_restart(servers: Servers, started: "Workers", kills: int, rng: random.Random) -> None:
    """Kill a worker at so many moments; a third and two thirds on the way a server restarts."""
    for number in range(kills):
        started.kill(rng.randrange(2), after_seconds=rng.uniform(0.0, 1.5))
        if number == kills // 3:
            with servers.stopped("default"):
                time.sleep(1.0)
        if number == 2 * kills // 3:
            with servers.killed("analytics"):
                time.sleep(1.0)
        print(f"\rkilled {number + 1} of {kills}", end="", file=sys.stderr)
    print(file=sys.stderr)


class Workers:
    """Two workers."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ, self.log = environ, TemporaryFile("w+")  # noqa: SIM115 - of the workers
        self.processes = [self._started() for _ in range(2)]

    def kill(self, number: int, *, after_seconds: float) -> None:
        """Kill a worker that works for so long already, and start another one in its place."""
        process = self.processes[number]
        assert process.stdout
        assert process.stdout.readline().startswith("Watching"), self._ended(process)
        time.sleep(after_seconds)
        assert process.poll() is None, self._ended(process)
        process.kill()
        process.communicate()
        self.processes[number] = self._started()

    def _started(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "app/manage.py", "crossdb_worker"]
        return subprocess.Popen(
            command, cwd=ROOT, env=service(self._environ), stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def _ended(self, process: "subprocess.Popen[str]") -> str:
        self.log.seek(0)
        return f"A worker ended by itself with {process.wait()}:\n{self.log.read()[-5000:]}"


@contextmanager
def workers(environ: Mapping[str, str]) -> Iterator[Workers]:
    """Run two workers in this block, and end them by SIGTERM."""
    started = Workers(environ)
    try:
        yield started
    finally:
        for process in started.processes:
            process.terminate()
        for process in started.processes:
            process.communicate(timeout=60)
        started.log.close()


@contextmanager
def loaded(environ: Mapping[str, str], users: int, seconds: float, seed: int) -> Iterator["subprocess.Popen[str]"]:
    """Run the load in this block."""
    command = [sys.executable, "-m", "tests.bench.crossdb_load", str(users), str(seconds), str(seed)]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                command, cwd=ROOT, env=service(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(process.kill)
        yield process


def compared(servers: Servers, required: Mapping[str, int], users: int, kills: int, *, audited: int) -> Found:
    """Compare the rows of both servers, one by one."""
    left = {key for (key,) in servers.ask("default", "SELECT id FROM accounts_user")}
    events = dict(servers.ask("analytics", "SELECT id, user_id FROM analytics_analyticsevent"))
    # Those that were there at first must be there if their user never left.
    first = {n + users * number: n for n in left if n % 50 for number in range(EVENTS_OF_USER)}
    wanted = first | {int(key): user for key, user in required.items() if user in left}
    ((set_aside,),) = servers.ask("default", "SELECT count(*) FROM switchyard_tombstone WHERE state = 2")
    return Found(
        deleted=users - len(left),
        orphans=sum(user not in left for user in events.values()),
        audited=audited,
        wrongly_deleted=len(wanted.keys() - events.keys()),
        set_aside=set_aside,
        kills=kills,
    )


def refuses_truncate(servers: Servers) -> bool:
    """Return True if the server of the users refuses to truncate them."""
    try:
        servers.ask("default", "TRUNCATE accounts_user CASCADE")
    except psycopg.errors.RaiseException as error:
        return "is refused" in str(error)
    return False


def once(environ: Mapping[str, str]) -> bool:
    """Handle everything that is due; return False, because batches of killed workers may not be due yet."""
    manage(environ, "crossdb_worker", "--once")
    return False


def service(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of the service."""
    inherited = {key: value for key, value in os.environ.items() if not OURS.match(key)}
    path = os.pathsep.join(map(str, (ROOT, ROOT / "app")))
    return {
        **inherited,
        **SECRETS,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_STREAM": "stderr",
        **environ,
    }


def manage(environ: Mapping[str, str], *arguments: str) -> Any:
    """Run a command of manage.py; raise SystemExit if it fails."""
    command = [sys.executable, "app/manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=service(environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-3000:])
    return done


if __name__ == "__main__":
    sys.exit(main())
