"""The results of a benchmark: a table for people, and build/bench/<name>.json for machines."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.support.engine import UnavailableError

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "build" / "bench"
SMALL = os.environ.get("BENCH_SCALE") == "small"


@dataclass(frozen=True)
class Result:
    """A measured value and its bar; a value without a bar is for comparison."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    ok: bool | None = None


def at_most(name: str, value: float, unit: str, bar: float | None) -> Result:
    """Return a result that is right up to the bar; without a bar, one for comparison."""
    return Result(name, value, unit, bar, None if bar is None else value <= bar)


def at_least(name: str, value: float, unit: str, bar: float) -> Result:
    """Return a result that is right from the bar on."""
    return Result(name, value, unit, bar, value >= bar)


@contextmanager
def exit_without_servers() -> Iterator[None]:
    """Exit with one line if real servers cannot start in this block."""
    try:
        yield
    except UnavailableError as error:
        raise SystemExit(f"This measurement needs real servers: {error}.") from error


def finish(name: str, results: Sequence[Result]) -> int:
    """Print and write the results; return the exit code, which says whether all bars were kept."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    table = Table("what", "value", "bar", "", title=f"bench-{name}{' (small)' if SMALL else ''}")
    for result in results:
        table.add_row(result.name, f"{_shown(result.value)} {result.unit}", *_verdict(result))
    Console(width=None if Console().is_terminal else 140).print(table)
    return 1 if any(result.ok is False for result in results) else 0


def _verdict(result: Result) -> tuple[str, str]:
    if result.bar is None:
        return "", ""
    return f"{_shown(result.bar)} {result.unit}", "[green]kept[/]" if result.ok else "[red]missed[/]"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3f}".rstrip("0")
