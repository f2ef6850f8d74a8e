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
    _alias_that_serves,
    _deadline,
)
from switchyard.routing.monitor.waits import Wait, waits_for
from switchyard.routing.topology.replication import replication_set


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
    """The clock of the module, in a process of four threads whose owner is away; nothing waits yet."""
    made = Clock()
    monkeypatch.setattr(fallback_reads, "time", SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep))
    monkeypatch.setattr(fallback_reads, "_waited_in_vain_at", {})
    given = {**settings.SWITCHYARD, "THREADS": 4, "REPLICAS": {}}
    with override_settings(SWITCHYARD=given):
        replication_set("default").replace_snapshot(unavailable_reason="down")
        yield made
        replication_set("default").reset()


def test_deadline__by_the_threads_that_wait(clock: Clock) -> None:
    """Half of the threads wait for long, the others shortly."""
    first, second = Wait("default"), Wait("default")
    beyond = _deadline("default")
    waits_for("default").running.pop(first)
    within = _deadline("default")
    waits_for("default").running.pop(second)

    assert beyond == pytest.approx(clock.now + SHORT_WAIT_SECONDS)
    assert within == pytest.approx(clock.now + CATCH_UP_SECONDS)


def test_deadline__after_a_wait_in_vain(clock: Clock) -> None:
    """Threads beyond the half do not wait for some seconds, so that they serve other databases."""
    assert _alias_that_serves("default") is None
    waits = [Wait("default"), Wait("default")]
    soon = _deadline("default")
    clock.sleep(CALM_SECONDS)
    later = _deadline("default")
    for wait in waits:
        waits_for("default").running.pop(wait)

    assert soon is None
    assert later is not None


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
