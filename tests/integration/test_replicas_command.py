"""`manage.py replicas` on real servers: its output and its exit code."""

import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from tests.integration.conftest import APP, environment, manage
from tests.support.servers import Servers

pytestmark = pytest.mark.docker


def replicas(servers: Servers, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the output about each server."""
    done = manage("replicas", "--json", **servers.environ(), **environ)
    assert done.stdout, done.stderr
    return done.returncode, {server["alias"]: server for server in json.loads(done.stdout)}


def test_replicas__all_fit(two_standbys: Servers) -> None:
    """Owner and standbys have positions of one system, and their samples are new."""
    code, found = replicas(two_standbys)

    assert code == 0
    assert list(found) == ["default", "replica", "replica2"]
    assert {server["state"] for server in found.values()} == {"fit"}
    assert len({server["position"].partition("/")[0] for server in found.values()}) == 1
    assert found["default"]["lag_seconds"] is None
    assert found["replica"]["lag_seconds"] < 30
    assert all(server["age_seconds"] < 10 for server in found.values())


def test_replicas__behind(servers: Servers) -> None:
    """A standby that has not replayed a write lags by bytes, and is fit up to MAX_LAG_SECONDS."""
    with servers.held_back("replica"):
        servers.ask("default", "CREATE TABLE behind (n integer)", "DROP TABLE behind")
        code, found = replicas(servers)

    assert code == 0
    assert found["replica"]["lag_bytes"] > 0
    assert found["replica"]["fit"]


def test_replicas__down(servers: Servers) -> None:
    """A standby that hangs is down, and the exit code says that a server is unfit."""
    with servers.paused("replica"):
        code, found = replicas(servers)

    assert code == 1
    assert (found["replica"]["state"], found["default"]["state"]) == ("down", "fit")


def test_replicas__without_migrations(mysql_pair: Servers) -> None:
    """A replica without the table of migrations is not down: it is unmigrated, on both vendors."""
    pairs = {"default": "replica", "legacy": "legacyreplica"}
    names = "django_migrations", "django_migrations_away"
    try:
        rename(mysql_pair, pairs, *names)
        code, found = replicas(mysql_pair)
    finally:
        rename(mysql_pair, pairs, *reversed(names))

    assert code == 1
    assert {alias: found[alias]["state"] for alias in pairs.values()} == dict.fromkeys(pairs.values(), "unmigrated")


def rename(servers: Servers, pairs: dict[str, str], before: str, after: str) -> None:
    for owner, replica in pairs.items():
        servers.ask(owner, f"ALTER TABLE {before} RENAME TO {after}")
        servers.caught_up(replica)


def test_replicas__owner_refused(servers: Servers) -> None:
    """An owner that hangs must not be written: the exit code says so, whatever its standby answers."""
    with servers.paused("default"):
        code, found = replicas(servers)

    assert code == 2
    assert found["default"]["state"] == "down"
    assert found["replica"]["fit"]


def test_replicas__mysql(mysql_pair: Servers) -> None:
    """GTIDs are shown in the notation of MySQL, which counts no bytes."""
    _, found = replicas(mysql_pair)

    assert re.match(r"[0-9a-f-]{36}:1-\d+", found["legacyreplica"]["position"])
    assert found["legacyreplica"]["lag_bytes"] is None


def test_replicas__for_people(servers: Servers) -> None:
    """The output for people has one line for each server, and no host, port or password."""
    done = manage("replicas", **servers.environ())

    assert re.search(r"│ replica +│ default +│ fit +│ +\d+\.\d s │ ", done.stdout), done.stdout
    assert "127.0.0.1" not in done.stdout
    assert done.stderr == ""


def test_replicas__watched(servers: Servers) -> None:
    """The command prints a line of JSON every half second; after an interrupt it exits with the code of that line."""
    command = [sys.executable, str(APP / "manage.py"), "replicas", "--watch", "--json"]
    with subprocess.Popen(
        command, env=environment(**servers.environ()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        states = [{each["alias"]: each["state"] for each in json.loads(process.stdout.readline())} for _ in range(2)]
        with servers.paused("replica"):
            for line in process.stdout:
                states.append({each["alias"]: each["state"] for each in json.loads(line)})
                if states[-1]["replica"] != "fit" or len(states) > 10:
                    break
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=10)
        errors = process.stderr.read()

    assert states[0] == {"default": "fit", "replica": "fit"}
    assert states[-1] == {"default": "fit", "replica": "down"}
    assert code == 1
    assert errors == ""
