"""Pairs of a write and a read outside requests, as in a command.

`python -m tests.bench.outside PREFIX PAIRS` prints the number of stale reads.
"""

import sys

import django


def main() -> None:
    """Run the pairs: each key is written twice."""
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
