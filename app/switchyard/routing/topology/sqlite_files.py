"""The files that aliases on SQLite open."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.db import connections


def sqlite_file(alias: str) -> Path | None:
    """Return the file that the alias opens; None for another vendor, and for a database in memory."""
    name = str(connections.settings[alias]["NAME"])
    uri = urlsplit(name if name.startswith("file:") else "")
    path = unquote(uri.path) or name
    if connections[alias].vendor != "sqlite" or path == ":memory:" or parse_qs(uri.query).get("mode") == ["memory"]:
        return None
    return Path(path).resolve()
