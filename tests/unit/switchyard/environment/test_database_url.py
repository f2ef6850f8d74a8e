"""One URL becomes one entry of DATABASES with the same values, or one line says why not."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from switchyard.environment import ConfigurationError
from switchyard.environment.database_url import database, shown

VARIABLE = "DATABASE_DEFAULT_URL"
DATA_DIR = Path("/data")
SCHEMES = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}
WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
HOST = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?){0,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"/[A-Za-z0-9._/ -]{1,40}", fullmatch=True),
)
PORT = st.integers(1, 65_535)


def read(url: str, *, password: str | None = None, read_only: bool = False) -> dict[str, Any]:
    """Read a URL as the URL of `default`."""
    return database(VARIABLE, url, password=password, read_only=read_only, data_dir=DATA_DIR)


def outcome(url: str) -> dict[str, Any] | ConfigurationError:
    """Read a URL, or return the error."""
    try:
        return read(url)
    except ConfigurationError as error:
        return error


def quoted(text: str) -> str:
    """Percent-encode the text as the documentation says."""
    return quote(text, safe="")


def in_url(host: str) -> str:
    """Return the host in the form that a URL has."""
    return f"[{host}]" if ":" in host else quoted(host)


@given(scheme=st.sampled_from(sorted(SCHEMES)), words=st.tuples(WORD, WORD, WORD), host=HOST, port=PORT)
def test_database__round_trip(scheme: str, words: tuple[str, str, str], host: str, port: int) -> None:
    """The entry has the user, password, host, port and name from before the percent-encoding."""
    user, password, name = words
    url = f"{scheme}://{quoted(user)}:{quoted(password)}@{in_url(host)}:{port}/{quoted(name)}"

    entry = read(url)

    assert entry["ENGINE"] == SCHEMES[scheme]
    assert (entry["USER"], entry["PASSWORD"], entry["NAME"]) == (user, password, name)
    assert (entry["HOST"], entry["PORT"]) == (host, str(port))


@given(url=st.one_of(st.text(), st.from_regex(r"[a-z]{3,9}://[ -~]*", fullmatch=True)))
def test_database__any_text(url: str) -> None:
    """Any text gives an entry, or ConfigurationError with one line."""
    found = outcome(url)

    if isinstance(found, ConfigurationError):
        assert len(str(found).splitlines()) == 1
        assert str(found).startswith(VARIABLE)
    else:
        assert found["NAME"]


SECRET = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda noise: f"s3cr{noise}t0p")


@given(
    password=SECRET,
    before=st.sampled_from(["postgres://", "mysql://", "postgres:", "", "sqlite://", "nosuch://", "postgres:///"]),
    user=st.sampled_from(["app", "", "a%zz", "a b"]),
    after=st.sampled_from(
        ["@db/name", "@db:port/name", "@db", "@db:0/name", "@[db/name", "@db/name?sslmode=no", "@/?x"]
    ),
    encoded=st.booleans(),
)
def test_database__no_password_in_an_error(password: str, before: str, user: str, after: str, encoded: bool) -> None:
    """The error of a wrong URL shows no part of the password, whatever the mistake is."""
    written = quoted(password) if encoded else password

    found = outcome(f"{before}{user}:{written}{after}")

    if isinstance(found, ConfigurationError):
        assert "s3cr" not in str(found)
        assert "t0p" not in str(found)


@given(password=SECRET)
def test_database__no_password_file_in_an_error(password: str) -> None:
    """The error does not show a password from a file."""
    with pytest.raises(ConfigurationError) as refused:
        read("postgres://app@db/name?nosuch=1", password=password)

    assert password not in str(refused.value)


def test_shown__of_a_right_url() -> None:
    """The address is shown, so that a reader finds the mistake. User, password and query are hidden."""
    assert shown("postgres://app:pw@db.example:5432/name?sslmode=no") == "postgres://***@db.example:5432/name"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is empty or holds white space"),
        ("postgres://app:p w@db/name", "is empty or holds white space"),
        ("postgres://app:p%w@db/name", "a bare %"),
        ("postgres://app:p#w@db/name", "holds white space, # or"),
        ("postgres://app:p/w@db/name", "cannot be read as a URL"),
        ("postgres://app:p?w=@db/name", "cannot be read as a URL"),
        ("postgres://app:p[w@db/name", "cannot be read as a URL"),
        ("postgres://app:%ff@db/name", "cannot be read as a URL"),
        ("postgres://app:%00@db/name", "cannot be read as a URL"),
        ("postgres://app@db:0/name", "cannot be read as a URL"),
        ("postgres://app@db:65536/name", "cannot be read as a URL"),
        ("postgres://app@db:5432x/name", "cannot be read as a URL"),
        ("postgres://app@db/name?sslmode", "cannot be read as a URL"),
        ("postgres://app@db/", "names no database"),
        ("postgres://app@db", "names no database"),
        ("name", "has an unknown scheme. Use one of: mariadb, mysql, postgres, postgresql, sqlite."),
        ("oracle://app@db/name", "has an unknown scheme"),
        ("postgres://app@db/name?sslmode=require&sslmode=disable", "has a key twice in its query"),
        (
            "postgres://app@db/name?ssl_mode=require",
            "has an unknown key 'ssl_mode' in its query. Known: application_name",
        ),
        ("mysql://app@db/name?sslmode=require", "has an unknown key 'sslmode' in its query. Known: conn_health_checks"),
        ("mysql://app@db/name?pool_max_size=4", "has an unknown key 'pool_max_size'"),
        ("sqlite:///name?timeout=5", "has an unknown key 'timeout' in its query. Known: none"),
        ("sqlite://name", "names no database"),
        ("sqlite://host/name", "is no SQLite file. Write sqlite:///relative/path"),
        ("postgres://app@db/name?sslmode=on", "URL?sslmode='on' is unknown. Set it to one of: disable"),
        ("mysql://app@db/name?ssl_mode=verify", "URL?ssl_mode='verify' is unknown. Set it to one of: DISABLED"),
        ("postgres://app@db/name?connect_timeout=0", "URL?connect_timeout='0' is out of range"),
        ("postgres://app@db/name?statement_timeout=30s", "URL?statement_timeout='30s' is out of range"),
        ("postgres://app@db/name?conn_health_checks=maybe", "URL?conn_health_checks='maybe' is neither true nor false"),
        ("postgres://app@db/name?pool_min_size=4", "URL?pool_min_size='4' is above pool_max_size"),
        ("postgres://app@db/name?pool_max_size=4&conn_max_age=60", "URL?conn_max_age='60' does not go with a pool"),
        ("postgres://app@db/name?pooler=transaction", "URL?pooler is set without direct_host. Add direct_host"),
        ("postgres://app@db/name?pooler=statement", "URL?pooler='statement' is unknown. Set it to one of: transaction"),
        ("postgres://app@db/name?direct_host=server", "URL?direct_host='server' is set without a pooler"),
        ("postgres://app@db/name?shared=true", "URL?shared='true' is set without a pooler. Remove it"),
        ("mysql://app@db/name?pooler=transaction", "has an unknown key 'pooler'"),
    ],
)
def test_database__refused(url: str, message: str) -> None:
    """The error of a wrong URL names the mistake and the remedy."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read(url)


def test_database__password_twice() -> None:
    """A password both in the URL and in a file is refused."""
    with pytest.raises(ConfigurationError, match="holds a password beside the password file"):
        read("postgres://app:pw@db/name", password="other")


@given(password=WORD)
def test_database__password_from_a_file(password: str) -> None:
    """A password from a file is used unchanged."""
    assert read("postgres://app@db/name", password=password)["PASSWORD"] == password


def test_database__postgresql_defaults() -> None:
    """Connecting, waiting for a lock, a statement and an idle transaction are all bounded; the session is in UTC."""
    entry = read("postgres://app@db/name")

    assert entry["CONN_HEALTH_CHECKS"] is True
    assert entry["CONN_MAX_AGE"] == 60
    assert entry["OPTIONS"] == {
        "application_name": "switchyard",
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "options": "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
        " -c timezone=UTC",
    }


def test_database__postgresql_options() -> None:
    """The query sets the driver's options: TLS by libpq's names, time-outs in seconds."""
    options = read(
        "postgres://app@db/name?sslmode=verify-full&sslrootcert=/tls/ca.crt&sslcert=/tls/c.crt&sslkey=/tls/c.key"
        "&statement_timeout=0&lock_timeout=120&application_name=migrate"
    )["OPTIONS"]

    assert options["sslmode"] == "verify-full"
    assert (options["sslrootcert"], options["sslcert"], options["sslkey"]) == (
        "/tls/ca.crt",
        "/tls/c.crt",
        "/tls/c.key",
    )
    assert "-c statement_timeout=0s -c lock_timeout=120s" in options["options"]
    assert options["application_name"] == "migrate"


def test_database__postgresql_pool() -> None:
    """A size for the pool makes the pool, and turns off Django's persistent connections."""
    entry = read("postgres://app@db/name?pool_min_size=2&pool_max_size=8")

    assert entry["CONN_MAX_AGE"] == 0
    assert entry["OPTIONS"]["pool"] == {"min_size": 2, "max_size": 8, "timeout": 5, "reconnect_timeout": 1}


def test_database__postgresql_behind_a_pooler() -> None:
    """Nothing is set at the start of a session; a connection to the server itself has the same limits as elsewhere."""
    entry = read("postgres://app@pooler:6432/name?pooler=transaction&direct_host=server&pool_max_size=8")
    plain = read("postgres://app@server/name?pool_max_size=8")["OPTIONS"]
    pool = plain.pop("pool")
    limits = plain.pop("options")

    assert entry["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert entry["OPTIONS"] == {**plain, "pool": pool}
    assert entry["DIRECT"] == {"HOST": "server", "PORT": "5432", "OPTIONS": {**plain, "options": limits}}
    assert "SHARED" not in entry


def test_database__a_pooler_with_several_servers() -> None:
    """The entry says that the pooler leads to several servers."""
    assert read("postgres://app@pooler/name?pooler=transaction&direct_host=server&shared=true")["SHARED"] is True


@pytest.mark.parametrize("scheme", ["postgres", "mysql"])
def test_database__replica_that_does_not_answer(scheme: str) -> None:
    """The connect time-out of a replica is shorter: another server is read in its place."""
    assert read(f"{scheme}://app@db/name", read_only=True)["OPTIONS"]["connect_timeout"] == 2


def test_database__pool_of_a_replica() -> None:
    """A read waits one second for a connection, and the pool tries to reconnect every second."""
    pool = read("postgres://app@db/name?pool_max_size=8", read_only=True)["OPTIONS"]["pool"]

    assert pool == {"min_size": 1, "max_size": 8, "timeout": 1, "reconnect_timeout": 1}


def test_database__mysql_defaults() -> None:
    """The defaults of driver and server have no time limits and no strict mode; the entry sets both."""
    entry = read("mysql://app@db/name")

    assert entry["CONN_HEALTH_CHECKS"] is True
    assert entry["CONN_MAX_AGE"] == 60
    assert entry["OPTIONS"] == {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "connect_timeout": 5,
        "read_timeout": 35,
        "write_timeout": 10,
        "init_command": "SET SESSION sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY', time_zone = '+00:00',"
        " lock_wait_timeout = 10, innodb_lock_wait_timeout = 10"
        " /*!80000 , max_execution_time = 30000 */ /*M! , max_statement_time = 30 */",
    }


def test_database__mysql_without_limits() -> None:
    """Without a limit on statements there is none on reading the answer: a migration may take long."""
    options = read("mysql://app@db/name?statement_timeout=0&lock_timeout=0")["OPTIONS"]

    assert "read_timeout" not in options
    assert "max_execution_time = 0 " in options["init_command"]
    assert "lock_wait_timeout = 31536000" in options["init_command"]


def test_database__mysql_tls() -> None:
    """TLS has mysqlclient's names, in any letter case."""
    options = read("mysql://app@db/name?ssl_mode=verify_identity&ssl_ca=/tls/ca.crt")["OPTIONS"]

    assert options["ssl_mode"] == "VERIFY_IDENTITY"
    assert options["ssl"] == {"ca": "/tls/ca.crt"}


def test_database__postgresql_read_only() -> None:
    """The session of a replica is read-only from its start; the session of an owner is not."""
    words = "-c default_transaction_read_only=on"

    assert read("postgres://app@db/name", read_only=True)["OPTIONS"]["options"].endswith(words)
    assert words not in read("postgres://app@db/name")["OPTIONS"]["options"]


@given(name=WORD)
def test_database__sqlite_path(name: str) -> None:
    """A file is named relative to the data directory, or absolutely with a fourth slash."""
    assume(not name.startswith("/"))

    assert read(f"sqlite:///{quoted(name)}")["NAME"] == str(DATA_DIR / name)
    assert read(f"sqlite:////{quoted(name)}")["NAME"] == str(Path("/") / name)
