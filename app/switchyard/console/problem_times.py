"""Since when there is each problem, also while nobody looks at the console: a file of METRICS_DIR, or own memory.

The process that takes a sample of the counters, every five seconds, looks for problems; so does each answer of the
console. A problem that is gone for longer than one look is forgotten.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from switchyard.conf import conf
from switchyard.console.problems import Problem
from switchyard.telemetry.recent.pod_record import PROBLEMS_FILE
from switchyard.telemetry.recent.whole_files import replace_text

FORGOTTEN_AFTER_SECONDS = 7.0
# Pods see the same change of a server up to a second apart, and a pool that opens a connection lets a thread wait.
SHOWN_AFTER_SECONDS = {"not the same in all pods": 5.0, "exhausted pool": 1.5}


class Times(NamedTuple):
    """When a problem was seen, in Unix times."""

    first_at: float
    last_at: float


@dataclass(frozen=True)
class TimedProblem(Problem):
    """A problem, and the Unix time at which it was seen first."""

    since: float


_own: dict[str, Times] = {}  # without METRICS_DIR


def timed(
    found: Mapping[str, Sequence[Problem]], elsewhere: Mapping[str, float], now: float
) -> Mapping[str, Sequence[TimedProblem]]:
    """Return the problems by alias with the time of their begin; a problem that may pass in a moment comes later.

    `elsewhere` is since when other pods have each problem. Remembers that there are these problems now.
    """
    since = note([_key(alias, each) for alias, problems in found.items() for each in problems], now)
    begun = {problem: min(at, elsewhere.get(problem, at)) for problem, at in since.items()}
    return {
        alias: [
            TimedProblem(each.fault, each.level, each.text, at)
            for each in problems
            if now - (at := begun[_key(alias, each)]) >= SHOWN_AFTER_SECONDS.get(each.fault, 0.0)
        ]
        for alias, problems in found.items()
    }


def note(found: Collection[str], now: float) -> Mapping[str, float]:
    """Remember that there are these problems now; return since when there is each of them."""
    path = Path(conf.metrics_dir) / PROBLEMS_FILE if conf.metrics_dir else None
    known = _own if path is None else _read(path)
    times = {problem: Times(known[problem].first_at if problem in known else now, now) for problem in found} | {
        problem: each
        for problem, each in known.items()
        if problem not in found and now - each.last_at < FORGOTTEN_AFTER_SECONDS
    }
    if path is None:
        _own.clear()
        _own.update(times)
    elif times != known:
        with suppress(OSError):  # a full METRICS_DIR; the thread of the recorder logs it
            replace_text(path, json.dumps(times, separators=(",", ":")))
    return {problem: times[problem].first_at for problem in found}


def _key(alias: str, problem: Problem) -> str:
    return f"{alias} {problem.fault}"


def _read(path: Path) -> dict[str, Times]:
    try:
        return {problem: Times(*times) for problem, times in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
