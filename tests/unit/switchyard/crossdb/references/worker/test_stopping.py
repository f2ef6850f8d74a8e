"""A request to stop the worker."""

import os
import signal
import threading
import time

from switchyard.crossdb.references.worker.stopping import Stop, stops_on_signals


def test_stop__ends_a_wait() -> None:
    """A wait ends when another thread requests the stop."""
    stop = Stop()
    threading.Thread(target=stop.set).start()
    began_at = time.monotonic()

    stop.wait(60)

    assert stop.is_set()
    assert time.monotonic() - began_at < 30


def test_stop__wait_without_a_request() -> None:
    """A wait ends after its time, and requests no stop."""
    stop = Stop()

    stop.wait(0.01)

    assert not stop.is_set()


def test_stops_on_signals__sigterm() -> None:
    """SIGTERM requests the stop in the block, and has its handler of before after it."""
    before = signal.getsignal(signal.SIGTERM)

    with stops_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(60)

    assert stop.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
