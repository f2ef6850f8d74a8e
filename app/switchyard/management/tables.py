"""The output of commands that print findings: the console for tables, or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.table import Table

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


def show(
    stdout: OutputWrapper,
    options: Mapping[str, Any],
    *,
    values: Sequence[Mapping[str, Any]],
    table: Table,
    lines: Iterable[str],
) -> None:
    """Print the values as JSON with --json; otherwise the table, and the lines with markup below it."""
    if options["json"]:
        stdout.write(json.dumps(values, indent=2))
        return
    shown_on = console(stdout, options)
    shown_on.print(table)
    for line in lines:
        shown_on.print(line)
