"""What the clients of `load.py` recorded, and which of their failures an event allows."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

REFUSAL_SECONDS = 2.0
FULFILLED = {"write": "201", "own read": "200", "read": "200"}


class Answer(NamedTuple):
    """One request of a client and its outcome: a status, the name of an exception, or `stale`."""

    kind: str  # a key of FULFILLED
    began_at: float  # time.time()
    seconds: float
    outcome: str
    name: str  # of the user that it wrote or read

    @property
    def ended_at(self) -> float:
        """The time.time() at which the answer was complete."""
        return self.began_at + self.seconds

    @property
    def fulfilled(self) -> bool:
        """Tell whether the client got what it asked for."""
        return self.outcome == FULFILLED[self.kind]

    @property
    def broken(self) -> bool:
        """Tell whether the connection ended without an answer."""
        return not self.fulfilled and not self.outcome.isdigit() and self.outcome not in {"stale", "TimeoutError"}


@dataclass(frozen=True)
class Allowed:
    """Which requests may fail because of an event."""

    refused: frozenset[str] = frozenset()  # kinds that may be answered 503, within REFUSAL_SECONDS
    broken_seconds: float = 0.0  # so long after the event connections may break

    def permits(self, answer: Answer, acted_at: float) -> bool:
        """Tell whether this answer may follow the event."""
        if answer.fulfilled:
            return answer.seconds <= REFUSAL_SECONDS or answer.kind not in self.refused
        if answer.broken:
            return acted_at <= answer.ended_at <= acted_at + self.broken_seconds
        return answer.outcome == "503" and answer.kind in self.refused and answer.seconds <= REFUSAL_SECONDS


NONE = Allowed()


def parsed(record: str) -> list[Answer]:
    """Return the answers of a record in the order of their begin; the last line may be incomplete."""
    lines = record.splitlines(keepends=True)
    found = [Answer(*json.loads(line)) for line in lines if line.endswith("\n")]
    return sorted(found, key=lambda answer: answer.began_at)


def counted(answers: Iterable[Answer]) -> Mapping[str, Mapping[str, int]]:
    """Return the number of answers by kind and outcome."""
    found: dict[str, Counter[str]] = {kind: Counter() for kind in FULFILLED}
    for answer in answers:
        found[answer.kind][answer.outcome] += 1
    return found
