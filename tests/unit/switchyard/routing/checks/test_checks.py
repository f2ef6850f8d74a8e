"""Every check id as `manage.py check` prints it, with all of Django's own checks: no tag, no call of a check by itself.

W005 asks a server: tests/integration/test_checks.py.
"""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import django
import pytest
from django.apps import apps
from django.contrib.contenttypes.fields import GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from switchyard.routing.checks.databases import check_servers
from switchyard.routing.checks.ownership import check_routing
from switchyard.routing.checks.relations import _relations

APP_DIRECTORY = Path(__file__).parents[5] / "app"
PRINTED = re.compile(r"^.*: \((switchyard\.[EW]\d{3})\) (.*)\n\tHINT: (.*)$", re.MULTILINE)
UNOWNED = (
    "?: (switchyard.E001) App 'legacy' has models and no owner.\n"
    "\tHINT: Add 'legacy': '<alias>' to SWITCHYARD['OWNERS'], or remove 'legacy' from INSTALLED_APPS.\n"
)
UNOWNED_SETTINGS = """
from config.settings import *
from config.settings import SWITCHYARD
SWITCHYARD = {**SWITCHYARD, "OWNERS": {app: alias for app, alias in SWITCHYARD["OWNERS"].items() if app != "legacy"}}
"""
COMMANDS = (
    "check",
    "check --database default",
    "makemigrations --check",
    "migrate",
    "migrate_all",
    "routes",
    "run",
    "runserver --noreload 0",
    "wait_migrated",
)
# Run each command as `manage.py` does, in one process.
EACH_COMMAND = """
import sys
from django.core.management import execute_from_command_line
for command in sys.argv[1:]:
    print("==", command, file=sys.stderr)
    try:
        execute_from_command_line(["manage.py", *command.split()])
    except SystemExit as end:
        print("exit", end.code, file=sys.stderr)
"""

OWNERS = {"*": "default"}
REPLICAS = {"default": ["replica"]}
ALIASES = ", ".join(sorted(connections))
APP, REPLICA = "switchyard.routing.AppRouter", "switchyard.routing.PrimaryReplicaRouter"


class Printed(NamedTuple):
    """A check's message as the command prints it."""

    id: str
    msg: str
    hint: str


def printed() -> list[Printed]:
    """Return the package's messages in the output of `manage.py check`."""
    said = StringIO()
    try:
        call_command("check", no_color=True, stdout=said, stderr=said)
    except SystemCheckError as error:
        said.write(str(error))
    assert said.getvalue().count("(switchyard.") == len(PRINTED.findall(said.getvalue())), said.getvalue()
    return [Printed(*found) for found in PRINTED.findall(said.getvalue())]


# id, SWITCHYARD, DATABASE_ROUTERS, parts of message and hint
WRONG: list[tuple[str, dict[str, Any], list[str], str, str]] = [
    ("E001", {"OWNERS": {"accounts": "default"}}, [APP], "'legacy' has models and no owner", "Add 'legacy': '<alias>'"),
    ("E008", {"OWNERS": OWNERS, "UNMANAGED": ["lgacy"]}, [APP], "'UNMANAGED'] names 'lgacy'", "take 'lgacy' out"),
    ("E002", {"OWNERS": {**OWNERS, "legacy": "lgacy"}}, [APP], "'legacy' to 'lgacy'", f"one of: {ALIASES}"),
    ("E003", {"OWNERS": OWNERS, "REPLICAS": {"default": ["no"]}}, [APP], "names 'no'", "Add 'no' to DATABASES"),
    ("E003", {"OWNERS": OWNERS, "REPLICAS": {"no": ["replica"]}}, [APP], "names 'no'", "Add 'no' to DATABASES"),
    ("E004", {"OWNERS": OWNERS, "REPLICAS": {**REPLICAS, "replica": ["legacy"]}}, [APP], "'replica' is", "List the"),
    ("E005", {"OWNERS": {**OWNERS, "legacy": "replica"}, "REPLICAS": REPLICAS}, [APP], "'replica', which", "Give"),
    ("E006", {"OWNERS": OWNERS, "REPLICAS": REPLICAS}, [APP, REPLICA], "no replica is read", "first"),
    ("E006", {"OWNERS": {**OWNERS, "legacy": "legacy"}}, [], "has no AppRouter", "as the last router"),
    ("E006", {"OWNERS": OWNERS, "REPLICAS": REPLICAS}, [APP], "has no PrimaryReplicaRouter", "first"),
    ("E016", {"OWNERS": OWNERS, "READONLY": ["legacy"]}, [APP], "unknown key 'READONLY'", "Did you mean 'READ_ONLY'?"),
    ("E016", {"OWNERS": OWNERS, "COLOUR": 1}, [APP], "unknown key 'COLOUR'", "Keys: CONSOLE_PEERS, CONSOLE_TOKENS"),
    ("E016", {"OWNERS": OWNERS, "READ_ONLY": "legacy"}, [APP], "['READ_ONLY'] is 'legacy'", "Write ['legacy']"),
    ("E016", {"OWNERS": OWNERS, "READ_ONLY": [1]}, [APP], "['READ_ONLY'] is [1]", "Write a list of texts"),
    ("E016", {"OWNERS": OWNERS, "CONSOLE_PEERS": "web:9464"}, [APP], "is 'web:9464'", "Write ['web:9464']"),
    ("E016", {"OWNERS": OWNERS, "CONSOLE_PEERS": ["web"]}, [APP], "names 'web', which is", "'web-pods:9464'"),
    ("E016", {"OWNERS": OWNERS, "CONSOLE_PEERS": ["web:9464"]}, [APP], "METRICS_DIR is not", "Set METRICS_DIR"),
    ("E016", {"OWNERS": OWNERS, "TOMBSTONE_RETENTION": 7}, [APP], "['TOMBSTONE_RETENTION'] is 7", "timedelta(days=7)"),
    ("E016", {"OWNERS": OWNERS, "TRACES": "false"}, [APP], "['TRACES'] is 'false'", "without quotation marks"),
    (
        "E016",
        {"OWNERS": OWNERS, "REPLICAS": {"default": "replica"}},
        [APP],
        "['REPLICAS']['default'] is 'replica'",
        "Write ['replica']",
    ),
    ("W011", {"OWNERS": {**OWNERS, "legcy": "legacy"}}, [APP], "gives 'legcy' an owner", "take 'legcy' out"),
    ("E007", {"OWNERS": OWNERS, "REPLICAS": {**REPLICAS, "legacy": ["replica"]}}, [APP], "default, legacy", "Leave"),
    ("E008", {"OWNERS": OWNERS, "READ_ONLY": ["lgacy"]}, [APP], "'READ_ONLY'] names 'lgacy'", "take 'lgacy' out"),
    (
        "E008",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "OPTIONAL": ["replica"]},
        [APP],
        "'OPTIONAL'] names",
        "no replica",
    ),
    ("E009", {"OWNERS": OWNERS, "POLICIES": {"stale": "warn"}}, [APP], "['stale'] is no policy", "stale_save, early_"),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": "no"}},
        [APP],
        "['stale_save'] is 'no'",
        "raise, warn, allow",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": {"accounts.User": "no"}}},
        [APP],
        "['stale_save']['accounts.User'] is 'no'",
        "raise, warn, allow",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": {"User": "warn"}}},
        [APP],
        "['stale_save']['User'] names no model and no app",
        "app_label.ModelName",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"replica_write": "warn"}},
        [APP],
        "['replica_write'] is 'warn'",
        "Choose one of: raise, redirect.",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"stale_save": {"accounts": "redirect"}}},
        [APP],
        "['stale_save']['accounts'] is 'redirect'",
        "raise, warn, allow",
    ),
    (
        "E009",
        {"OWNERS": OWNERS, "POLICIES": {"early_on_commit": {"*": "warn"}}},
        [APP],
        "['early_on_commit'] is {'*': 'warn'}",
        "raise, warn, allow",
    ),
    (
        "W009",
        {"OWNERS": OWNERS, "PRIMARY_ONLY": ["legcy"]},
        [APP],
        "'PRIMARY_ONLY'] names 'legcy'",
        "the label of the app",
    ),
    (
        "E014",
        {"OWNERS": OWNERS, "MAX_LAG_SECONDS": "30"},
        [APP],
        "['MAX_LAG_SECONDS'] is '30', not a positive number of seconds",
        "the default is 30",
    ),
    ("E014", {"OWNERS": OWNERS, "MAX_LAG_SECONDS": float("nan")}, [APP], "['MAX_LAG_SECONDS'] is nan", "above 0"),
    (
        "E014",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "MAX_LAG_SECONDS": {"replica": True}},
        [APP],
        "['MAX_LAG_SECONDS']['replica'] is True",
        "above 0",
    ),
    (
        "E014",
        {"OWNERS": OWNERS, "REPLICAS": REPLICAS, "MAX_LAG_SECONDS": {"default": 5}},
        [APP],
        "['MAX_LAG_SECONDS']['default'] names no replica",
        "Name one of: replica",
    ),
    (
        "E011",
        {"OWNERS": {**OWNERS, "contenttypes": "legacy"}},
        [APP],
        "admin.LogEntry.content_type relates to contenttypes.ContentType, which is owned by 'legacy' and not",
        "Use CrossDatabaseForeignKey of switchyard.crossdb in its place",
    ),
    (
        "E011",
        {"OWNERS": {**OWNERS, "auth": "legacy", "contenttypes": "legacy"}},
        [APP],
        "accounts.User.groups relates to auth.Group",
        "in a plain field",
    ),
    (
        "E012",
        {"OWNERS": {**OWNERS, "contenttypes": "legacy"}},
        [APP],
        "'auth' to 'default' and 'contenttypes' to 'legacy'",
        "Give both to 'default'",
    ),
    ("W001", {"OWNERS": OWNERS, "REPLICAS": {"default": ["legacy"]}}, [APP], "'legacy' would", "{'MIRROR': 'default'}"),
]


@pytest.mark.parametrize(("check_id", "switchyard", "routers", "message", "hint"), WRONG)
def test_check__a_wrong_setting(
    *, check_id: str, switchyard: dict[str, Any], routers: list[str], message: str, hint: str
) -> None:
    """The check with that id reports the mistake and the remedy."""
    with override_settings(SWITCHYARD=switchyard, DATABASE_ROUTERS=routers):
        found = [each for each in printed() if each.id == f"switchyard.{check_id}"]

    assert found
    assert any(message in each.msg and hint in each.hint for each in found), found


ROUTING, SESSIONS = "switchyard.routing.RoutingMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"


# id, MIDDLEWARE, what message and hint say
WRONG_MIDDLEWARE = [
    ("W003", [SESSIONS, "no.such.Middleware"], "RoutingMiddleware is not in MIDDLEWARE", "first in MIDDLEWARE"),
    ("W004", [SESSIONS, ROUTING], f"'{SESSIONS}' stands before", f"before '{SESSIONS}'"),
]


@pytest.mark.parametrize(("check_id", "middleware", "message", "hint"), WRONG_MIDDLEWARE)
def test_check__middleware(check_id: str, middleware: list[str], message: str, hint: str) -> None:
    """With replicas, RoutingMiddleware must come before a middleware that writes; without replicas it is not needed."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}, MIDDLEWARE=middleware):
        (found,) = printed()
    with override_settings(SWITCHYARD={"OWNERS": OWNERS}, MIDDLEWARE=middleware):
        assert printed() == []

    assert found.id == f"switchyard.{check_id}"
    assert message in found.msg
    assert hint in found.hint


# id, what DATABASES["legacy"] has, what message and hint say
WRONG_DATABASES: list[tuple[str | None, dict[str, Any], str, str]] = [
    ("E010", {"ATOMIC_REQUESTS": True}, "opens a transaction on 'legacy'", "transaction.atomic(using='legacy')"),
    (
        "E013",
        {"OPTIONS": {"pool": {"max_size": 9}}, "CONN_MAX_AGE": 60},
        "a pool and CONN_MAX_AGE = 60",
        "Leave CONN_MAX_AGE",
    ),
    ("E013", {"OPTIONS": {"pool": {"max_size": 8}}, "CONN_MAX_AGE": None}, "CONN_MAX_AGE = None", "Leave CONN"),
    ("W002", {"OPTIONS": {"pool": True}}, "'legacy' has 4 connections for 8 threads", "['max_size'] to 8"),
    ("W002", {"OPTIONS": {"pool": {"min_size": 6}}}, "has 6 connections for 8 threads", "to 8 or more"),
    ("W002", {"OPTIONS": {"pool": {"min_size": 1, "max_size": 7}}}, "has 7 connections for 8", "to 8 or more"),
    (None, {"OPTIONS": {"pool": {"min_size": 1, "max_size": 8}}}, "", ""),
    (None, {"CONN_MAX_AGE": 60}, "", ""),
]


@pytest.mark.parametrize("direct", [{}, {"HOST": "server"}])
def test_check__a_pooler_without_a_way_past(direct: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica behind a pooler whose server has no known address is found."""
    monkeypatch.setitem(connections.settings["replica"], "DISABLE_SERVER_SIDE_CURSORS", True)
    monkeypatch.setitem(connections.settings["replica"], "DIRECT", direct)

    assert [each.id for each in printed()] == ([] if direct else ["switchyard.W007"])


@pytest.mark.parametrize(("check_id", "settings", "message", "hint"), WRONG_DATABASES)
def test_check__databases(
    check_id: str | None, settings: dict[str, Any], message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of an alias that fail later, or only under load, are found at the start."""
    for key, value in settings.items():
        monkeypatch.setitem(connections.settings["legacy"], key, value)
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "THREADS": 8}):
        found = printed()

    assert [each.id for each in found] == ([f"switchyard.{check_id}"] if check_id else [])
    assert all(message in each.msg and hint in each.hint for each in found), found


@pytest.mark.parametrize(
    ("switchyard", "check_id", "message"),
    [
        ({"OWNERS": {"*": "default"}}, "E002", "gives app '*' to 'default', which is empty in DATABASES."),
        ({"OWNERS": {"*": "legacy"}, "REPLICAS": {"default": ["replica"]}}, "E003", "'default', which is empty"),
        (
            {"OWNERS": {"*": "legacy"}, "OPTIONAL": ["default"]},
            "E008",
            "names 'default', which is no owner",
        ),
    ],
)
def test_check__an_empty_default(
    switchyard: dict[str, Any], check_id: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty `default` leads to no database, so it is neither an owner nor a replica."""
    monkeypatch.setitem(connections.settings["default"], "ENGINE", "django.db.backends.dummy")
    with override_settings(SWITCHYARD=switchyard):
        found = {each.id: each.msg for each in printed()}

    assert message in found[f"switchyard.{check_id}"]


@pytest.mark.parametrize(
    ("owners", "atomic", "refused"),
    [
        ({"*": "legacy"}, ["legacy"], []),
        ({"*": "legacy"}, ["legacy", "analytics"], ["analytics"]),
        ({"*": "legacy", "analytics": "analytics", "reporting": "analytics"}, ["legacy", "analytics"], ["legacy"]),
        ({"*": "default", "legacy": "legacy"}, ["default", "legacy"], ["legacy"]),
        ({"*": "legacy"}, ["default"], []),
        ({"*": "default", "legacy": "legacy"}, ["replica"], ["replica"]),
    ],
)
def test_check__atomic_requests_on_one_owner(
    owners: dict[str, str], atomic: list[str], refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One alias may have ATOMIC_REQUESTS: `default` if it is used, else the first owner that has it."""
    for alias in atomic:
        monkeypatch.setitem(connections.settings[alias], "ATOMIC_REQUESTS", True)
    with override_settings(SWITCHYARD={"OWNERS": owners}):
        found = [each.msg for each in printed() if each.id == "switchyard.E010"]

    assert [re.findall(r"^DATABASES\['(\w+)'\]", message)[0] for message in found] == refused


def test_check__a_cache_without_owner() -> None:
    """A database cache needs an owner of its label, which no installed app has."""
    owners = dict.fromkeys((app.label for app in apps.get_app_configs()), "default")
    caches = {"pages": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"}}
    with override_settings(SWITCHYARD={"OWNERS": owners}, CACHES=caches):
        (found,) = printed()
    with override_settings(SWITCHYARD={"OWNERS": {**owners, "django_cache": "default"}}, CACHES=caches):
        assert printed() == []

    assert found.id == "switchyard.E001"
    assert "CACHES['pages'] keeps its rows in a database, and 'django_cache'" in found.msg
    assert found.hint.startswith("Add 'django_cache': '<alias>' to SWITCHYARD['OWNERS'].")


def test_check__an_untested_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another minor version of Django than the tested ones is named, with those."""
    monkeypatch.setattr(django, "VERSION", (6, 2, 0, "final", 0))
    (found,) = printed()

    assert found.id == "switchyard.W006"
    assert "not tested on Django 6.2," in found.msg
    assert "Install one of: 5.2, 6.0, 6.1." in found.hint


def test_check__every_id() -> None:
    """Each id of docs/checks.md is in a table here, has a test of its own (E015, W006, W007, W008) or asks a server.

    The checks of references have their tests in tests/unit/switchyard/crossdb/references/checks.
    """
    tables = ([case[0] for case in table] for table in (WRONG, WRONG_MIDDLEWARE, WRONG_DATABASES))
    shown = {f"switchyard.{check_id}" for table in tables for check_id in table if check_id}
    named = set(re.findall(r"switchyard\.[EW]\d{3}", APP_DIRECTORY.parent.joinpath("docs/checks.md").read_text()))

    of_references = ("E017", "E018", "E019", "E020", "E021", "E022", "E023", "W012", "W013", "W014")
    apart = ("E015", "W005", "W006", "W007", "W008", "W010", *of_references)
    assert named - shown == {f"switchyard.{check_id}" for check_id in apart}


def test_check__default_may_be_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """ATOMIC_REQUESTS on `default` is allowed, and without THREADS no pool is too small."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", {"pool": True})
    with override_settings(SWITCHYARD={"OWNERS": OWNERS}):
        assert printed() == []


@pytest.mark.parametrize(
    ("owner", "replica", "refused"),
    [
        ("/data/a.sqlite3", "/data/b.sqlite3", True),
        ("/data/a.sqlite3", "file:///data/b.sqlite3?mode=ro", True),
        ("/data/a.sqlite3", Path("/data/a.sqlite3"), False),
        ("/data/a.sqlite3", "/data/../data/a.sqlite3", False),
        ("/data/a b.sqlite3", "file:///data/a%20b.sqlite3?mode=ro", False),
        ("file:/data/a.sqlite3", "file:/data/a.sqlite3?mode=ro", False),
        ("file:a?mode=memory&cache=shared", "file:b?mode=memory&cache=shared", False),  # a test's: W001 is about them
        (":memory:", "/data/a.sqlite3", False),
    ],
)
def test_check__a_replica_in_another_file(
    owner: str, replica: str | Path, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SQLite replica has to open its owner's file, by whatever name: nothing copies rows between files."""
    monkeypatch.setitem(connections.settings["default"], "NAME", owner)
    monkeypatch.setitem(connections.settings["replica"], "NAME", replica)
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}):
        found = printed()

    assert [each.id for each in found] == (["switchyard.E015"] if refused else [])
    assert all("'replica' opens another file than its owner 'default'" in each.msg for each in found)
    assert all("DATABASES['replica']['NAME'] to the file of 'default'" in each.hint for each in found)


@isolate_apps("legacy")
def test_check__a_generic_relation() -> None:
    """A generic relation is checked like other relations: its rows are read from the alias of the model."""

    class Tagged(models.Model):  # noqa: DJ008 - never printed
        tags = GenericRelation(ContentType)

        class Meta:
            app_label = "legacy"

    assert [field.name for field in _relations(Tagged)] == ["tags"]


@isolate_apps("legacy")
def test_check__a_relation_to_nothing() -> None:
    """A field that names no model is ignored, because Django reports it."""

    class Lost(models.Model):  # noqa: DJ008 - as above
        to = models.ForeignKey("nowhere.Nothing", models.CASCADE)

        class Meta:
            app_label = "legacy"

    assert list(_relations(Lost)) == []


def test_check_servers__tag() -> None:
    """Without `--database`, and for a vendor without positions, no server is queried."""
    assert check_servers in checks.registry.registry.get_checks(include_deployment_checks=True)
    assert check_servers.tags == (checks.Tags.database,)  # type: ignore[attr-defined]  # set by register()
    assert check_servers() == []
    assert check_servers(databases=["default", "legacy"]) == []


@pytest.mark.parametrize("routers", [[REPLICA, APP], [REPLICA]])
def test_check__right_settings(routers: list[str]) -> None:
    """Right settings give no message."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "REPLICAS": REPLICAS}, DATABASE_ROUTERS=routers):
        assert printed() == []


def test_check__the_service_itself() -> None:
    """The settings of the service are right, and the checks run with those of Django."""
    assert [each for each in checks.run_checks() if str(each.id).startswith("switchyard.")] == []
    with override_settings(SWITCHYARD={"OWNERS": {}}):
        assert "switchyard.E001" in {each.id for each in checks.run_checks()}


def test_check__an_unowned_app(tmp_path: Path) -> None:
    """Each command ends with the check's message and its hint, without a traceback."""
    tmp_path.joinpath("unowned.py").write_text(UNOWNED_SETTINGS)
    paths = os.pathsep.join([str(APP_DIRECTORY), str(tmp_path)])
    ended = subprocess.run(
        [sys.executable, "-c", EACH_COMMAND, *COMMANDS],
        env={**os.environ, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "unowned", "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    said = ended.stderr.split("== ")[1:]
    assert [each.partition("\n")[0] for each in said] == list(COMMANDS), ended.stderr
    for each in said:
        assert UNOWNED in each
        assert "Traceback" not in each
        assert each.endswith("exit 3\n" if each.startswith("migrate\n") else "exit 1\n")


def test_check__right_policies() -> None:
    """Policies may be set by key, and by model and app in any letter case."""
    policies = {
        "stale_save": {"accounts.user": "warn", "LEGACY": "warn", "*": "allow"},
        "replica_write": {"accounts": "redirect"},
        "early_on_commit": "warn",
    }
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "POLICIES": policies}):
        assert printed() == []


def test_check__right_primary_only() -> None:
    """PRIMARY_ONLY may name any installed app, and the apps of the default, installed or not."""
    with override_settings(SWITCHYARD={"OWNERS": OWNERS, "PRIMARY_ONLY": ["legacy", "django_cache"]}):
        assert printed() == []


def test_check__touches_no_database() -> None:
    """The checks open no connection."""
    before = {alias: connections[alias].connection for alias in connections}
    check_routing()

    assert {alias: connections[alias].connection for alias in connections} == before
