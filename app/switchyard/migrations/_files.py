"""The directory of an SQLite file: the server's part, where there is no server."""

from pathlib import Path

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper


def make_room(connection: BaseDatabaseWrapper) -> None:
    """Make the directory of the connection's file, if it has one: SQLite makes only the file. Raises OperationalError.

    A file that is named as a URI is left alone, because that says itself whether it may be made.
    """
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return
    directory = Path(name).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationalError(f"Its directory {str(directory)!r} cannot be made ({error.strerror}).") from error
