"""Wait for a condition in a test. Nothing here needs a Docker engine."""

import time
from collections.abc import Callable


def until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Poll until `true()` returns True; after `seconds` raise a TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {seconds} s still not: {what}.")
        time.sleep(0.05)
