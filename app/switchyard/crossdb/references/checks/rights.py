"""The rights of an alias' role on MySQL and MariaDB, from the server's own list of grants."""

import re
from typing import Any

from django.db import connections

_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<database>`(?:[^`]|``)+`|\*)\.(?P<table>`(?:[^`]|``)+`|\*) TO ")
_WILDCARDS = {"%": ".*", "_": "."}


def has_right(right: str, alias: str, table: str) -> bool:
    """Return True if the role, or a role that is active in its sessions, has the right. Two or three queries."""
    connection: Any = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT DATABASE(), CURRENT_ROLE()")
        database, roles = cursor.fetchone()
        # MariaDB lists the grants of the active role by itself.
        using = "" if connection.mysql_is_mariadb or roles == "NONE" else f" FOR CURRENT_USER() USING {roles}"
        cursor.execute(f"SHOW GRANTS{using}")
        grants = [found for (grant,) in cursor.fetchall() if (found := _GRANT.match(grant))]
    return any({right, "ALL PRIVILEGES"} & set(each["rights"].split(", ")) for each in _on(grants, database, table))


def _on(grants: list[re.Match[str]], database: str, table: str) -> list[re.Match[str]]:
    """Return the grants that hold for the table. One that names the database replaces those with a pattern."""
    of_table = [each for each in grants if (_name(each["database"]), _name(each["table"])) == (database, table)]
    of_databases = [each for each in grants if each["table"] == "*" and each["database"] != "*"]
    matching = [each for each in of_databases if _is_like(database, _name(each["database"]))]
    naming = [each for each in matching if re.sub(r"\\(.)", r"\1", _name(each["database"])) == database]
    return [*(each for each in grants if each["database"] == "*"), *(naming or matching), *of_table]


def _name(quoted: str) -> str:
    return quoted.strip("`").replace("``", "`")


def _is_like(name: str, pattern: str) -> bool:
    """Return True if the name is like the pattern of a grant, where a backslash escapes `_` and `%`."""
    parts = re.split(r"(\\.|[%_])", pattern)
    return bool(
        re.fullmatch("".join(_WILDCARDS.get(each) or re.escape(each.removeprefix("\\")) for each in parts), name)
    )
