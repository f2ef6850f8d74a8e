"""A `migrate` that fails, is stopped or finds a half-done migration: its exit code, and what is in the database."""

import doctest
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, InterfaceError, OperationalError, ProgrammingError, connections
from django.db.migrations.recorder import MigrationRecorder
from tests.support.documents import ROOT

from switchyard.migrations import _exit_codes, pending
from switchyard.migrations._exit_codes import DO_NOT_RETRY, MAY_RETRY, exit_code_of

type Names = Callable[[str], set[str]]
type Write = Callable[[str, dict[str, str]], None]

APP = ROOT / "app"
FIRST = "operations = [migrations.RunSQL('CREATE TABLE first (id integer)', 'DROP TABLE first')]"
MARK = "switchyard:applying.analytics.0001_first"


def run_python(*lines: str) -> str:
    """Return operations that run this code, with `execute` for one SQL statement."""
    code = "\n".join(f"    {line}" for line in lines)
    head = "def change(apps, schema_editor):\n    execute = schema_editor.execute\n"
    return f"{head}{code}\noperations = [migrations.RunPython(change, migrations.RunPython.noop)]"


def migrate(*arguments: str, **options: object) -> None:
    """Migrate `analytics` in this process."""
    call_command("migrate", *arguments, database="analytics", verbosity=0, **options)


def code_of(*arguments: str, **options: object) -> tuple[int, str]:
    """Return the exit code and the message of a `migrate` of `analytics` that fails."""
    with pytest.raises(CommandError) as raised:
        migrate(*arguments, **options)
    return raised.value.returncode, str(raised.value)


@contextmanager
def file_locked(file: Path) -> Iterator[None]:
    """Hold the lock of `migrate` on an SQLite file, as another process does."""
    with closing(sqlite3.connect(f"{file}-migrate", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield


def caused(error: Exception, **attributes: object) -> Exception:
    """Return the error with a driver's error, which has these attributes, as its cause."""
    error.__cause__ = type("DriverError", (Exception,), attributes)()
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (caused(OperationalError("lock timeout"), sqlstate="55P03"), MAY_RETRY),
        (caused(OperationalError("deadlock"), sqlstate="40P01"), MAY_RETRY),
        (caused(OperationalError("connection refused"), sqlstate=None), MAY_RETRY),
        (caused(DatabaseError("read-only transaction"), sqlstate="25006"), MAY_RETRY),
        (caused(OperationalError("pending trigger events"), sqlstate="55006"), DO_NOT_RETRY),
        (caused(ProgrammingError("no such table"), sqlstate="42P01"), DO_NOT_RETRY),
        (OperationalError(1205, "Lock wait timeout exceeded"), MAY_RETRY),
        (OperationalError(2006, "Server has gone away"), MAY_RETRY),
        (OperationalError(1050, "Table exists"), DO_NOT_RETRY),
        (DataError(1406, "Data too long"), DO_NOT_RETRY),
        (caused(OperationalError("locked"), sqlite_errorcode=sqlite3.SQLITE_BUSY_SNAPSHOT), MAY_RETRY),
        (caused(OperationalError("no such column"), sqlite_errorcode=sqlite3.SQLITE_ERROR), DO_NOT_RETRY),
        (InterfaceError("closed"), MAY_RETRY),
        (ValueError("a bug"), DO_NOT_RETRY),
    ],
)
def test_exit_code__of_an_error(error: Exception, code: int) -> None:
    """Errors of the server and of the connection may be retried, errors of a migration may not."""
    assert exit_code_of(error) == code


def test_exit_code__example() -> None:
    """The example of `exit_code_of()` runs and prints the shown result."""
    assert doctest.testmod(_exit_codes) == (0, 1)


def test_sigterm__between_two_migrations(
    empty_databases: Path, write_migrations: Write, tables: Names, recorded: Names
) -> None:
    """The running migration ends and is recorded, the next one does not begin, and the next start continues."""
    stop = run_python("import os, signal", "os.kill(os.getpid(), signal.SIGTERM)", "execute('CREATE TABLE a (b int)')")
    write_migrations("analytics", {
        "0001_first": stop,
        "0002_second": "dependencies = [('analytics', '0001_first')]\n" + FIRST,
    })  # fmt: skip

    code, message = code_of("analytics")

    assert (code, message.partition(":")[0]) == (MAY_RETRY, "Stopped by SIGTERM")
    assert recorded("analytics") == {"analytics.0001_first"}
    assert tables("analytics") == {"a", "django_migrations"}
    migrate("analytics")
    assert "first" in tables("analytics")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_sigterm__in_the_last_migration(empty_databases: Path, write_migrations: Write) -> None:
    """Nothing is left to do, so the command succeeds."""
    write_migrations("analytics", {"0001_first": run_python("import os, signal", "os.kill(os.getpid(), 15)")})

    migrate("analytics")

    assert "analytics.0001_first" not in pending("analytics")


def test_sigterm__while_migrate_all_waits(tmp_path: Path) -> None:
    """`migrate_all` hands the signal on to each `migrate`, also to one that waits for a lock."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")}
    with file_locked(tmp_path / "analytics.sqlite3"):
        process = subprocess.Popen(
            [sys.executable, str(APP / "manage.py"), "migrate_all"],
            env={**environ, "DATA_DIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stderr is not None
            waits = "analytics: Waiting for another migrate of 'analytics' to end.\n"
            assert any(line == waits for line in process.stderr)
            process.terminate()
            printed, errors = process.communicate(timeout=60)

    assert process.returncode == MAY_RETRY, errors
    assert "analytics: CommandError: Stopped by SIGTERM" in errors
    assert "Stopped by SIGTERM" in printed


def test_lock__held_for_too_long(empty_databases: Path) -> None:
    """The wait for another `migrate` has an end, and the error says who holds the lock."""
    file = empty_databases / "analytics.sqlite3"
    with file_locked(file):
        code, message = code_of(lock_wait=0.2)

    assert code == MAY_RETRY
    assert message == (
        "Another migrate of 'analytics' has held the lock for more than 0.2 s: "
        f"a process on this machine, which has {file}-migrate open."
    )


def test_record__in_the_transaction_of_the_tables(
    empty_databases: Path, tables: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration whose record fails has made no table: a process that dies between the two leaves neither."""

    def fail(_recorder: object, app: str, name: str) -> None:
        raise DatabaseError(f"no record of {app}.{name}")

    monkeypatch.setattr(MigrationRecorder, "record_applied", fail)

    with pytest.raises(DatabaseError, match=r"no record of analytics\.0001_initial"):
        migrate("analytics")
    assert tables("analytics") == {"django_migrations"}


def test_mark__of_a_migration_that_fails_half_way(
    empty_databases: Path, write_migrations: Write, tables: Names, recorded: Names
) -> None:
    """The mark stays; the next start says what to check; after a cleaning by hand the mark is cleared and it runs."""
    half = "atomic = False\n" + run_python("execute('CREATE TABLE half (id integer)')", "raise ValueError('a bug')")
    write_migrations("analytics", {"0001_first": half})
    with pytest.raises(ValueError, match="a bug"):
        migrate("analytics")

    code, message = code_of("analytics")

    assert (code, recorded("analytics")) == (DO_NOT_RETRY, {MARK})
    assert "'analytics.0001_first' is half applied on 'analytics'" in message
    assert "sqlmigrate analytics 0001_first --database=analytics" in message
    assert "migrate --database=analytics --clear-mark=analytics.0001_first" in message
    assert code_of(clear_mark="analytics.0002_other")[0] == DO_NOT_RETRY

    with connections["analytics"].cursor() as cursor:
        cursor.execute("DROP TABLE half")
    with pytest.raises(ValueError, match="a bug"):
        migrate("analytics", clear_mark="analytics.0001_first")
    assert tables("analytics") == {"django_migrations", "half"}


def test_mark__cleared_with_a_fake(empty_databases: Path, write_migrations: Write, recorded: Names) -> None:
    """A migration that was finished by hand is recorded by --fake --clear-mark, without running."""
    write_migrations("analytics", {"0001_first": "atomic = False\n" + run_python("raise KeyError")})
    MigrationRecorder(connections["analytics"]).record_applied("switchyard:applying", "analytics.0001_first")

    migrate("analytics", "0001_first", fake=True, clear_mark="analytics.0001_first")

    assert recorded("analytics") == {"analytics.0001_first"}


@pytest.mark.parametrize(
    "lines",
    [
        ("raise KeyError",),
        ("execute('SELECT 1')", "raise KeyError"),
        (
            "from django.db.transaction import atomic",
            "with atomic('analytics'):",
            "    execute('CREATE TABLE half (id integer)')",
            "    raise KeyError",
        ),
    ],
)
def test_mark__nothing_was_changed(
    empty_databases: Path, write_migrations: Write, recorded: Names, lines: tuple[str, ...]
) -> None:
    """A migration that fails before its first lasting change leaves no mark, so that a retry is possible."""
    write_migrations("analytics", {"0001_first": "atomic = False\n" + run_python(*lines)})

    with pytest.raises(KeyError):
        migrate("analytics")

    assert recorded("analytics") == set()


def test_mark__half_undone(empty_databases: Path, write_migrations: Write, recorded: Names) -> None:
    """A migration that fails while it is undone has a mark as well, and the message is about undoing."""
    undo = run_python("execute('CREATE TABLE rest (id integer)')", "raise KeyError")
    write_migrations("analytics", {
        "0001_first": "atomic = False\n"
        + undo.replace("RunPython(change, migrations.RunPython.noop)", "RunPython(migrations.RunPython.noop, change)")
    })  # fmt: skip
    migrate("analytics")

    with pytest.raises(KeyError):
        migrate("analytics", "zero")

    assert "switchyard:unapplying.analytics.0001_first" in recorded("analytics")
    assert "'analytics.0001_first' is half undone on 'analytics'" in code_of()[1]


def test_mark__of_a_migration_that_is_recorded(empty_databases: Path, recorded: Names) -> None:
    """A process that dies between the record and the removal of the mark leaves nothing to check."""
    migrate("analytics")
    MigrationRecorder(connections["analytics"]).record_applied("switchyard:applying", "analytics.0001_initial")

    migrate("analytics")


def test_mark__restartable(empty_databases: Path, write_migrations: Write, recorded: Names) -> None:
    """A migration that says that it may run again has no mark."""
    lines = ("execute('CREATE TABLE IF NOT EXISTS half (id integer)')", "raise KeyError")
    write_migrations("analytics", {"0001_first": "atomic = False\nrestartable = True\n" + run_python(*lines)})

    with pytest.raises(KeyError):
        migrate("analytics")

    assert recorded("analytics") == set()


def test_mark__atomic(empty_databases: Path, write_migrations: Write, tables: Names, recorded: Names) -> None:
    """A migration that the database rolls back has no mark while it runs, and leaves nothing."""
    lines = (
        "execute('CREATE TABLE half (id integer)')",
        "from django.db.migrations.recorder import MigrationRecorder",
        "rows = MigrationRecorder(schema_editor.connection).applied_migrations()",
        "raise ValueError(sorted(rows))",
    )
    write_migrations("analytics", {"0001_first": run_python(*lines)})

    with pytest.raises(ValueError, match=r"^\[\]$"):
        migrate("analytics")
    assert tables("analytics") == {"django_migrations"}
