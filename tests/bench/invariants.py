"""Results that no slow machine may change: no stale read, no failed read, no step back, one round trip for each write.

`BENCH_SCALE=small python -m tests.bench.invariants`, as `make test` does. Only the benchmarks check times.
"""

import sys

from tests.bench.chains import monotonic
from tests.bench.failures import failing
from tests.bench.pair import primary_with
from tests.bench.requests import round_trips
from tests.bench.results import finish
from tests.bench.staleness import OURS, stale

TIMED = {"s", "share"}  # units of results that vary


def main() -> int:
    """Measure, print and write; the exit code says whether all results are right."""
    with primary_with("replica", "replica2") as servers:
        results = [
            *round_trips(servers, (OURS, "plain")),
            *stale(servers, [OURS]),
            *failing(servers, [(OURS, "")]),
            *monotonic(servers),
        ]
    return finish("invariants", [result for result in results if result.unit not in TIMED])


if __name__ == "__main__":
    sys.exit(main())
