"""One round of questions to all other pods, shared by all pages that a process answers in the same second."""

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from switchyard.conf import conf
from switchyard.console.pods.peer import DEADLINE_SECONDS, Address, BackgroundCall, Peer
from switchyard.console.pods.record import PodRecord

CACHE_SECONDS = 0.9  # a page asks every second
MAX_PODS = 100


@dataclass(frozen=True)
class Round:
    """The records of the other pods, and the labels of those that do not answer."""

    records: Sequence[PodRecord] = ()
    missing: Sequence[str] = ()
    own_label: str = ""  # of this pod, once its own exporter has answered
    workers: AbstractSet[str] = frozenset()  # labels, of missing ones too: the pods that run a worker of references
    unresolved: Sequence[str] = ()  # what CONSOLE_PEERS names and DNS does not know


class Peers:
    """The other pods, found by the names of CONSOLE_PEERS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resolving = BackgroundCall(self._resolve)
        self._by_name: Mapping[str, Sequence[Address]] = {}
        self._unresolved: Sequence[str] = ()
        self._worker_names: set[str] = set()  # a pod that has never answered is what others of its name were
        self._peers: Mapping[Address, Peer] = {}
        self._round = Round()
        self._ended_at = float("-inf")

    def ask(self, own_pod: str) -> Round:
        """Return what the other pods know, no later than after DEADLINE_SECONDS. Pods that are late are missing.

        `own_pod` is the random name of this pod, which the names of CONSOLE_PEERS may include. A caller that comes
        during a round, or soon after it, has its result.
        """
        if not conf.console_peers:
            return Round()
        with self._lock:
            if time.monotonic() - self._ended_at > CACHE_SECONDS:
                self._round = self._ask(own_pod)
                self._ended_at = time.monotonic()
            return self._round

    def _ask(self, own_pod: str) -> Round:
        until = time.monotonic() + DEADLINE_SECONDS
        self._resolving.start()
        self._resolving.wait(until)
        peers = self._current()
        for peer in peers:
            peer.call.start()
        found = [(peer, self._record(peer, until)) for peer in peers]
        own = next((peer for peer, _record in found if own_pod and peer.pod == own_pod), None)
        others = {peer.label: record for peer, record in found if peer is not own}
        return Round(
            records=[record for record in others.values() if record],
            missing=[label for label, record in others.items() if record is None],
            own_label=own.label if own else "",
            workers=self._workers(),
            unresolved=self._unresolved,
        )

    def _record(self, peer: Peer, until: float) -> PodRecord | None:
        if peer.is_awaited and not peer.call.wait(until):
            peer.fail()
        return peer.record()

    def _current(self) -> Sequence[Peer]:
        """Return the pods at the addresses that were found last, and forget all others."""
        addresses = sorted({address for found in self._by_name.values() for address in found})
        self._peers = {address: self._peers.get(address) or Peer(address) for address in addresses[:MAX_PODS]}
        return list(self._peers.values())

    def _workers(self) -> AbstractSet[str]:
        """Return the labels of the pods that run a worker, as far as they, or others of their name, have answered."""
        by_name = [
            (name, self._peers[address])
            for name, found in self._by_name.items()
            for address in found
            if address in self._peers
        ]
        self._worker_names.update(name for name, peer in by_name if peer.runs_worker)
        return {
            peer.label
            for name, peer in by_name
            if peer.runs_worker or (peer.runs_worker is None and name in self._worker_names)
        }

    def _resolve(self) -> None:
        """Find the addresses. A name that cannot be found now keeps the addresses that it had."""
        found = {name: _addresses(name) for name in conf.console_peers}
        self._unresolved = [name for name, addresses in found.items() if not addresses]
        self._by_name = {name: addresses or self._by_name.get(name, ()) for name, addresses in found.items()}


def _addresses(name: str) -> Sequence[Address]:
    """Return all addresses of a name with a port; none if DNS does not know it."""
    host, _, port = name.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return [Address(str(at[0]), int(port)) for *_, at in found]


_peers = Peers()


def ask_peers(own_pod: str) -> Round:
    """Return what the other pods know, as `Peers.ask` does."""
    return _peers.ask(own_pod)


def _begin_anew() -> None:
    """Forget the peers: a forked child has none of the threads that ask them."""
    global _peers  # noqa: PLW0603 - a process has one set of peers
    _peers = Peers()


os.register_at_fork(after_in_child=_begin_anew)
