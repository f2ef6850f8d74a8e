"""Wait for a condition in a test. Nothing here needs a Docker engine."""

import time
from collections.abc import Callable

_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.5


def until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Poll until `true()` returns True; after `seconds` raise a TimeoutError that names `what`.

    A pause is as long as the question before it: `kubectl` may occupy half of a processor, and not more.
    """
    asked_at = time.monotonic()
    deadline = asked_at + seconds
    while not true():
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError(f"After {seconds} s still not: {what}.")
        time.sleep(min(max(now - asked_at, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS))
        asked_at = time.monotonic()
