"""How long a read waits for a replica when its owner fails. tests/integration has reads on real servers."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.test import override_settings

from switchyard.routing.connections import fallback_reads
from switchyard.routing.connections.fallback_reads import (
    CALM_SECONDS,
    CATCH_UP_SECONDS,
    SHORT_WAIT_SECONDS,
    SHUTDOWN_SECONDS,
    _alias_that_serves,
    _ends_at,
)
from switchyard.routing.monitor.waits import Wait, waits_for
from switchyard.routing.topology.replication import Replica, Shutdown, replication_set, shared_aliases


class Clock:
    """A clock that a sleep moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the module, in a process of four threads whose owner and replica are away; nothing waits yet."""
    made = Clock()
    monkeypatch.setattr(fallback_reads, "time", SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep))
    monkeypatch.setattr(fallback_reads, "_waited_in_vain_at", {})
    given = {**settings.SWITCHYARD, "THREADS": 4, "REPLICAS": {"default": ["replica"]}}
    with override_settings(SWITCHYARD=given):
        group = replication_set("default")
        group.replace_snapshot([Replica("replica", "down")], lag_free=False, unavailable_reason="down")
        yield made
        group.reset()


def waits_for_seconds(clock: Clock, others: int) -> float:
    """Return how long a wait may take that begins now, while so many others wait."""
    return _ends_at("default", clock.now, others) - clock.now


@pytest.mark.parametrize(("others", "seconds"), [(0, CATCH_UP_SECONDS), (1, CATCH_UP_SECONDS), (2, SHORT_WAIT_SECONDS)])
def test_ends_at__by_the_share(clock: Clock, others: int, seconds: float) -> None:
    """Half of the threads wait for long, the others shortly."""
    assert waits_for_seconds(clock, others) == pytest.approx(seconds)


@pytest.fixture
def several(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner has begun to shut down now, and has several servers behind the alias of its replica."""
    monkeypatch.setitem(shared_aliases, "replica", 0.0)
    replication_set("default").replace_snapshot(shutdown=Shutdown(clock.now))


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(("others", "seconds"), [(2, SHUTDOWN_SECONDS), (3, SHORT_WAIT_SECONDS)])
def test_ends_at__during_a_shutdown(clock: Clock, others: int, seconds: float) -> None:
    """All threads but one wait for a promotion."""
    assert waits_for_seconds(clock, others) == pytest.approx(seconds)


@pytest.mark.usefixtures("several")
def test_ends_at__after_a_shutdown(clock: Clock) -> None:
    """A wait that begins later ends as any other: an owner that stays away holds no more threads."""
    clock.sleep(SHUTDOWN_SECONDS - 3)
    within = waits_for_seconds(clock, 0)
    clock.sleep(3)

    assert within == pytest.approx(3)
    assert waits_for_seconds(clock, 0) == pytest.approx(CATCH_UP_SECONDS)


def test_ends_at__the_shutdown_of_an_owner_with_one_standby(clock: Clock) -> None:
    """No other server can be read after a promotion, so the wait is no longer than any other."""
    replication_set("default").replace_snapshot(shutdown=Shutdown(clock.now))

    assert waits_for_seconds(clock, 0) == pytest.approx(CATCH_UP_SECONDS)


def test_ends_at__after_a_wait_in_vain(clock: Clock) -> None:
    """Threads beyond the share look once for some seconds, so that they serve other databases."""
    assert _alias_that_serves("default") is None
    soon = waits_for_seconds(clock, 2)
    clock.sleep(CALM_SECONDS)

    assert (soon, waits_for_seconds(clock, 2)) == (0.0, pytest.approx(SHORT_WAIT_SECONDS))


def test_alias_that_serves__beyond_the_share(clock: Clock) -> None:
    """While half of the threads wait, another thread looks shortly, and after a wait in vain it looks once."""
    waits = [Wait("default"), Wait("default")]
    times = [clock.now]
    for _ in range(2):
        assert _alias_that_serves("default") is None
        times.append(clock.now)
    for wait in waits:
        waits_for("default").running.pop(wait)

    assert times[1] - times[0] == pytest.approx(SHORT_WAIT_SECONDS, abs=0.1)
    assert times[2] == times[1]


def test_alias_that_serves__in_time(clock: Clock) -> None:
    """Without a replica that has caught up, the wait ends after its time, and holds no share any more."""
    began = clock.now

    assert _alias_that_serves("default") is None
    assert CATCH_UP_SECONDS < clock.now - began < CATCH_UP_SECONDS + 0.1
    assert not waits_for("default").running


@pytest.mark.django_db(databases=["default"])
def test_alias_that_serves__the_owner_is_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read runs on the owner as soon as it is back."""
    began = clock.now

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        replication_set("default").replace_snapshot(unavailable_reason="")

    monkeypatch.setattr(fallback_reads.time, "sleep", sleep)

    assert _alias_that_serves("default") == "default"
    assert clock.now - began < 0.1
