"""Connections of Django's own classes that note the calls of their methods."""

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.utils import ConnectionHandler, load_backend

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "never-used", "OPTIONS": {"pool": True}}


class StopHereError(Exception):
    """A replaced name was called, and the test needs no more."""


def configured(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an alias with Django's defaults."""
    return ConnectionHandler({"default": copy.deepcopy(entry)}).settings["default"]


def file_in(directory: Path) -> dict[str, Any]:
    """Return the settings of a file. Django does not close a connection to a database in memory."""
    return configured({**SQLITE, "NAME": directory / "scratch.sqlite3"})


def noting(base: Any, *names: str) -> Any:
    """Return a subclass whose methods of these names append the call to `noted` before they call Django's method."""

    def note(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.noted.append((name, *args))
            return getattr(super(noted_class, self), name)(*args, **kwargs)

        return method

    noted_class = type(base.__name__, (base,), {name: note(name) for name in names})
    return noted_class


def parameters(function: Any) -> list[str]:
    """Return the names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def postgresql(**methods: Any) -> Any:
    """Return a connection to PostgreSQL with these methods; it is never opened."""
    base = load_backend(POSTGRESQL["ENGINE"]).DatabaseWrapper
    return type("DatabaseWrapper", (base,), methods)(configured(POSTGRESQL), "scratch")
