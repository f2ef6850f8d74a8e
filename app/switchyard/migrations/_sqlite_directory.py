"""The directory of an SQLite file. SQLite makes the file, and nobody else makes the directory."""

from pathlib import Path

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper


def make_sqlite_directory(connection: BaseDatabaseWrapper) -> None:
    """Make the directory of the connection's SQLite file; do nothing for another vendor and for `:memory:`.

    A file that is named as a URI is left alone, because the URI says itself whether SQLite may make the file.
    Raises OperationalError if the directory cannot be made.
    """
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return
    directory = Path(name).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationalError(f"Its directory {str(directory)!r} cannot be made ({error.strerror}).") from error
