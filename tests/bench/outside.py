"""Pairs of a write and a read outside any request, as a command makes them.

`python -m tests.bench.outside PREFIX PAIRS` prints how many reads were stale.
"""

import sys

import django


def main() -> None:
    """Make the pairs: each key is written twice."""
    django.setup()
    from tests.bench.service.views import found, put  # noqa: PLC0415 - needs the loaded apps

    prefix, pairs = sys.argv[1], int(sys.argv[2])
    stale = 0
    for number in range(pairs):
        key, value = f"{prefix}-{number // 2}", number % 2 + 1
        put(key, value)
        stale += found(key)["value"] != value
    print(stale)


if __name__ == "__main__":
    main()
