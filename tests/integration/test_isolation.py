"""One database of the real service hangs under 40 clients: the requests of the others go on. As `make bench-isolation`.

The benchmark has a greater load and stricter bars. Here, other processes slow the machine down, and on a busy machine
a server that is only slow looks like a server that fails.
"""

import time
from collections.abc import Iterator
from functools import partial

import pytest
from tests.bench.crowd import Asking, crowd
from tests.bench.isolation import FAULTS, Pauses, during_fault, percentile_99, serving
from tests.support.servers import Servers

pytestmark = pytest.mark.docker

DURING_SECONDS = 4.0
PAUSES = Pauses(failing_seconds=1.0, others_seconds=0.2)  # 40 clients still occupy all 16 threads in half a second
MUCH_SLOWER_SECONDS = DURING_SECONDS / 2  # without the circuit, the others wait as long as the fault lasts
REFUSED_WITHIN_SECONDS = DURING_SECONDS / 2  # as above
BACK_SECONDS = 5.0


@pytest.fixture(scope="module")
def port(servers: Servers) -> Iterator[int]:
    """The port of the service on the four servers, with two workers."""
    with serving(servers) as port:
        yield port


@pytest.mark.parametrize(
    ("alias", "what"),
    [("legacy", "hanging"), ("analytics", "black-holed"), ("default", "paused"), ("replica", "refusing")],
)
def test_isolation__each_database(servers: Servers, port: int, alias: str, what: str) -> None:
    """No request of another database fails or waits; from the second second on the database's requests are refused."""
    fault = partial(FAULTS[what], servers, alias)
    run = during_fault(port, alias, fault, during_seconds=DURING_SECONDS, pauses=PAUSES)
    slower = {asked: run.slower_seconds(asked) for asked in run.others}

    print(f"{alias} {what}: {slower}, back after {run.back_seconds():.2f} s")
    assert {asked: run.failed(asked) for asked in run.others} == {asked: [] for asked in run.others}
    assert max(slower.values()) < MUCH_SLOWER_SECONDS
    # The reads of a replica go to the owner.
    assert {each.status for each in run.refusals()} == ({200} if alias == "replica" else {503})
    assert percentile_99(run.waits(run.failing)) < REFUSED_WITHIN_SECONDS
    assert run.back_seconds() < BACK_SECONDS


def test_isolation__readyz_asked_by_many(servers: Servers, port: int) -> None:
    """While a database hangs, 500 clients that ask /readyz at once get their answer, and hold nobody else up."""
    with crowd(port, "readyz", 16, pause_seconds=0.1):  # each worker finds once that it is ready
        time.sleep(1)
    with servers.paused("legacy"), crowd(port, "legacy", 4, pause_seconds=0.2):  # the monitor knows it
        asking = Asking(port, "replica", 1, 0.01)
        asking.start()
        with crowd(port, "readyz", 500, pause_seconds=60) as answers:
            pass
        asking.stop()

    slowest = max(each.seconds for each in asking.answers)
    print(f"/readyz took {max(each.seconds for each in answers):.2f} s at most, another request {slowest:.2f} s")
    assert {each.status for each in (*answers, *asking.answers)} == {200}
    assert slowest < 4.0
