"""The console on which a command prints its tables."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import OutputWrapper
from rich.console import Console

# Columns of a pipe or a file, which have no width of their own: enough for any name.
_UNLIMITED = 10_000


def console(stdout: OutputWrapper, options: Mapping[str, Any]) -> Console:
    """Return a console that follows --no-color and --force-color, and wraps no line of a pipe or a file."""
    terminal = stdout.isatty()
    return Console(
        file=stdout,  # type: ignore[arg-type]  # rich calls only `write()` and `flush()`
        no_color=options["no_color"],
        force_terminal=(terminal or options["force_color"]) and not options["no_color"],
        width=None if terminal else _UNLIMITED,
    )
