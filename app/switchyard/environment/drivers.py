"""The options of each driver: time limits and session modes that Django and the drivers do not set by default.

The query of a URL changes them. All times are whole seconds; 0 means "no limit".
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from switchyard.environment import env
from switchyard.environment.env import ConfigurationError

type Database = dict[str, Any]

_DAY_SECONDS = 86_400
_MAX_LOCK_TIMEOUT_SECONDS = 31_536_000  # MySQL has no value for "no limit"; this is its largest lock time-out


@dataclass
class Query:
    """The query of the URL in `variable`. Reading a key makes it known; `refuse_unknown()` refuses the others."""

    variable: str
    given: dict[str, str]
    asked: set[str] = field(default_factory=set)

    @property
    def _values(self) -> dict[str, str]:
        return {self._label(key): value for key, value in self.given.items()}

    def _label(self, key: str) -> str:
        return f"{self.variable}?{key}"

    def _ask(self, key: str) -> str:
        self.asked.add(key)
        return self._label(key)

    def text(self, key: str, default: str) -> str:
        """Return the key's value, `default` when it is not given."""
        return env.text(self._values, self._ask(key), default)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the key's value as true or false."""
        return env.flag(self._values, self._ask(key), default=default)

    def number(self, key: str, default: int, *, low: int = 0, high: int = _DAY_SECONDS) -> int:
        """Return the key's value as a whole number."""
        return env.number(self._values, self._ask(key), default, low=low, high=high)

    def present(self, **keys: str) -> dict[str, str]:
        """Return the driver's options whose keys are given; `keys` maps each option to its key."""
        values = {option: self.text(key, "") for option, key in keys.items()}
        return {option: value for option, value in values.items() if value}

    def chosen(self, key: str, choices: tuple[str, ...]) -> dict[str, str]:
        """Return the driver's option with the name of the key when the key is given; its value must be in `choices`."""
        value = env.choice(self._values, self._ask(key), choices)
        return {key: value} if value else {}

    def refuse_unknown(self) -> None:
        """Raise ConfigurationError for a key of the URL that no method read."""
        for key in self.given:
            if key not in self.asked:
                known = ", ".join(sorted(self.asked)) or "none"
                raise ConfigurationError(self.variable, f"has an unknown key {key!r} in its query", f"Known: {known}")


def postgresql(query: Query, *, read_only: bool) -> Database:
    """Return the options for psycopg and for the server's session.

    libpq has no read time-out: keep-alives and `tcp_user_timeout` detect a dead peer, and the server ends a statement.
    """
    connect_timeout = query.number("connect_timeout", _connect_timeout(read_only=read_only), low=1)
    session = {
        "statement_timeout": f"{query.number('statement_timeout', 30)}s",
        "lock_timeout": f"{query.number('lock_timeout', 10)}s",
        "idle_in_transaction_session_timeout": f"{query.number('idle_in_transaction_session_timeout', 60)}s",
        "timezone": "UTC",
    }
    if read_only:
        # routing/guards/access_mode.py holds each session of a replica read-only. On PostgreSQL it sees that the
        # session is read-only already, and sends no statement. On MySQL it sends one in any case.
        session["default_transaction_read_only"] = "on"
    # A read that waits longer for a replica's pool goes to the owner. Without reconnect_timeout the pool waits longer
    # and longer between two attempts, and reconnects late when the server is back.
    waits = {"timeout": 1 if read_only else connect_timeout, "reconnect_timeout": 1}
    lasting, pool = _pool(query, waits)
    options: dict[str, Any] = {
        "application_name": query.text("application_name", "switchyard"),
        "connect_timeout": connect_timeout,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        **query.chosen("sslmode", ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
        **query.present(sslrootcert="sslrootcert", sslcert="sslcert", sslkey="sslkey"),
    }
    shared = query.flag("shared", default=False)
    if direct := _past_pooler(query):
        # A pooler refuses time limits at the start of a session, so the role's own limits hold there.
        through = {option: value for option, value in options.items() if option != "options"}
        return {
            **lasting,
            "DISABLE_SERVER_SIDE_CURSORS": True,
            "OPTIONS": {**through, **pool},
            "DIRECT": {**direct, "OPTIONS": options},  # routing/topology/direct.py uses it
            **({"SHARED": True} if shared else {}),
        }
    if shared:
        raise ConfigurationError(
            f"{query.variable}?shared",
            "is set without a pooler",
            "Remove it: without a pooler each connection is asked for its server",
            value="true",
        )
    return {**lasting, "OPTIONS": {**options, **pool}}


def _past_pooler(query: Query) -> Database:
    """Return the address of the server behind a pooler; nothing where the URL names no pooler."""
    pooler = query.chosen("pooler", ("transaction",))
    host, port = query.text("direct_host", ""), query.number("direct_port", 5432, low=1, high=65_535)
    if pooler and not host:
        raise ConfigurationError(
            f"{query.variable}?pooler",
            "is set without direct_host",
            "Add direct_host, and direct_port if it is not 5432: the address of the server behind the pooler",
        )
    if host and not pooler:
        raise ConfigurationError(
            f"{query.variable}?direct_host",
            "is set without a pooler",
            "Add pooler=transaction, or remove direct_host",
            value=host,
        )
    return {"HOST": host, "PORT": str(port)} if pooler else {}


def _pool(query: Query, waits: dict[str, int]) -> tuple[Database, dict[str, Any]]:
    """Return the lifetime of connections, and the options of psycopg's pool when the URL gives its size."""
    lasting = _lasting(query)
    largest = query.number("pool_max_size", 0, high=1_000)
    smallest = query.number("pool_min_size", min(largest, 1), high=1_000)
    if not largest and not smallest:
        return lasting, {}
    if smallest > largest:
        raise ConfigurationError(
            f"{query.variable}?pool_min_size", "is above pool_max_size", "Raise pool_max_size", value=str(smallest)
        )
    if query.number("conn_max_age", 0):
        raise ConfigurationError(
            f"{query.variable}?conn_max_age",
            "does not go with a pool, which keeps connections itself",
            "Remove it, or pool_min_size and pool_max_size",
            value=str(lasting["CONN_MAX_AGE"]),
        )
    return {**lasting, "CONN_MAX_AGE": 0}, {"pool": {"min_size": smallest, "max_size": largest, **waits}}


def _connect_timeout(*, read_only: bool) -> int:
    # Another server is read in place of a replica that does not answer. libpq takes 1 as 2.
    return 2 if read_only else 5


def _lasting(query: Query) -> Database:
    return {
        "CONN_MAX_AGE": query.number("conn_max_age", 60),
        "CONN_HEALTH_CHECKS": query.flag("conn_health_checks", default=True),
    }


def mysql(query: Query, *, read_only: bool) -> Database:
    """Return the options for mysqlclient and for the server's session, which MySQL and MariaDB share.

    `statement_timeout` ends reads on MySQL and all statements on MariaDB; `read_timeout` ends the wait for any answer.
    """
    statement = query.number("statement_timeout", 30)
    lock = query.number("lock_timeout", 10) or _MAX_LOCK_TIMEOUT_SECONDS
    read = query.number("read_timeout", statement + 5 if statement else 0)
    tls = query.present(ca="ssl_ca", cert="ssl_cert", key="ssl_key")
    options: dict[str, Any] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "connect_timeout": query.number("connect_timeout", _connect_timeout(read_only=read_only), low=1),
        "write_timeout": query.number("write_timeout", 10, low=1),
        # One round trip for all variables. Each comment is code for one vendor: the other has no such variable.
        "init_command": (
            "SET SESSION sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY', time_zone = '+00:00',"
            f" lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
            f" /*!80000 , max_execution_time = {statement * 1000} */ /*M! , max_statement_time = {statement} */"
        ),
        **({"read_timeout": read} if read else {}),
        **query.chosen("ssl_mode", ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")),
        **({"ssl": tls} if tls else {}),
    }
    return {**_lasting(query), "OPTIONS": options}


def sqlite(path: Path, *, read_only: bool) -> Database:
    """Return the entry of DATABASES for an SQLite file in WAL mode: readers and the writer do not block each other."""
    if read_only:
        name, options = f"{path.absolute().as_uri()}?mode=ro", {}
    else:
        # A transaction that starts with a read cannot wait for the write lock later. So each one takes the lock first.
        pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"
        name, options = str(path), {"transaction_mode": "IMMEDIATE", "init_command": pragmas}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": {"timeout": 10, **options}}
