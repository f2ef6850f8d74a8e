"""The number of random cases of a test: few in `make test`, which has an hour, and all in `make test-random`."""

import os


def examples(usual: int, *, all_cases: int) -> int:
    """Return `all_cases` with `RANDOM_CASES=all` in the environment, else `usual`."""
    return all_cases if os.environ.get("RANDOM_CASES") == "all" else usual
