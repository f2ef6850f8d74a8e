"""Parse one database URL into one entry of DATABASES. databases.py decides which aliases there are."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from switchyard.environment.drivers import Database, Query, mysql, postgresql, sqlite
from switchyard.environment.env import ConfigurationError

_LEGIBLE = re.compile(r"(?:[^\x00-\x20\x7f%#]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_FORM = "Write scheme://user:password@host:port/name, special characters percent-encoded (@ is %40)"
_POSTGRESQL = ("django.db.backends.postgresql", postgresql)
_MYSQL = ("django.db.backends.mysql", mysql)
_SERVERS = {"postgres": _POSTGRESQL, "postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}


class Url(NamedTuple):
    """A URL's decoded parts."""

    scheme: str
    user: str
    password: str
    host: str
    port: str
    name: str
    query: dict[str, str]


def database(variable: str, url: str, *, password: str | None, read_only: bool, data_dir: Path) -> Database:
    """Return the entry of DATABASES that `url`, the value of `variable`, describes.

    `password` is the content of the password file, if there is one. A relative SQLite path is relative to `data_dir`.
    Raises ConfigurationError; its message holds no part of the URL that may be a password.
    """

    def refused(problem: str, remedy: str = _FORM) -> ConfigurationError:
        return ConfigurationError(variable, problem, remedy, value=shown(url))

    parts = _split(url, refused)
    if parts.password and password is not None:
        raise refused("holds a password beside the password file", "Leave the password out of the URL")
    query = Query(variable, parts.query)
    if parts.scheme == "sqlite":
        if parts.host or parts.port or parts.user or password is not None:
            raise refused("is no SQLite file", "Write sqlite:///relative/path or sqlite:////absolute/path")
        query.refuse_unknown()
        return sqlite(data_dir / parts.name, read_only=read_only)
    if parts.scheme not in _SERVERS:
        raise refused("has an unknown scheme", f"Use one of: {', '.join(sorted((*_SERVERS, 'sqlite')))}")
    engine, described = _SERVERS[parts.scheme]
    entry = described(query, read_only=read_only)
    query.refuse_unknown()
    return {
        "ENGINE": engine,
        "NAME": parts.name,
        "USER": parts.user,
        "PASSWORD": parts.password if password is None else password,
        "HOST": parts.host,
        "PORT": parts.port,
        **entry,
    }


def _split(url: str, refused: Callable[[str], ConfigurationError]) -> Url:
    """Return the parts. Refuse a URL that urllib cannot parse, or would change silently (white space, a bare %)."""
    if not _LEGIBLE.fullmatch(url):
        raise refused("is empty or holds white space, # or a bare %")
    try:
        url.encode()
        parts = urlsplit(url)
        port = parts.port
        # Not `parts.hostname`: it is in lower case, and the host may be the directory of a socket.
        host = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2])
        user, password, host, name = (
            unquote(part, errors="strict")
            for part in (parts.username or "", parts.password or "", host, parts.path.removeprefix("/"))
        )
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict")
    except ValueError:
        raise refused("cannot be read as a URL") from None
    if "@" in parts.path + parts.query or port == 0 or "\0" in user + password + host + name:
        raise refused("cannot be read as a URL")
    if len(dict(query)) < len(query):
        raise refused("has a key twice in its query")
    if not name:
        raise refused("names no database")
    return Url(parts.scheme, user, password, host.strip("[]"), str(port or ""), name, dict(query))


def shown(url: str) -> str:
    """Return the part of the URL that cannot hold a password, whatever mistakes the URL has."""
    scheme, _, rest = url.partition("://")
    user, at, address = rest.rpartition("@")
    address = address.partition("?")[0]
    if not rest or not _SCHEME.fullmatch(scheme):
        return "***"
    if "@" in user or "?" in user or (not at and ":" in address):
        return f"{scheme}://***"
    return f"{scheme}://***@{address}" if at else f"{scheme}://{address}"
