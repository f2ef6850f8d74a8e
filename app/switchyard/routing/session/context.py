"""What this request, task or command owes and asked for.

A frame says what was asked for; overrides put another frame on top and take it away again. All frames of one request
share its ledger, which says what the request owes. Both survive `await`, child tasks and the threads of
`sync_to_async`. What no request or task does is the work of one frame of the process.
"""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from types import MappingProxyType
from typing import Any, Literal, final

from switchyard.positions import Position
from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.topology.replication import Best, Replica, set_of

type Prefers = Literal["", "primary", "replica"]

_UNSETTLED = Best(Replica(""), None)
_NOTHING: Mapping[str, str] = MappingProxyType({})


@final
class Unplaced:
    """A write, or a read of the owner, whose position is not known yet."""

    __slots__ = ("at", "writers")

    def __init__(self, at: float, connection: Any = None) -> None:
        self.at = at  # `time.monotonic()` at which it had happened; infinite where nobody knows
        self.writers = () if connection is None else (connection,)  # whose transactions are still open

    def after(self, other: "Unplaced") -> None:
        """Stand for the other one too, which came before: a transaction that is open there will yet be committed."""
        self.writers = tuple(dict.fromkeys((*other.writers, *self.writers)))

    def position(self, owner: str) -> Position | None:
        """Return a position that the owner surely had only after it happened, None as long as none is known."""
        if (
            self.writers
            and (still := tuple(each for each in self.writers if has_open_transaction(each))) != self.writers
        ):
            self.at, self.writers = time.monotonic(), still  # they ended, and not after now
        sample = set_of(owner).sample
        if self.writers or sample is None or sample.begun_at <= self.at:
            return None
        return sample.answer.position


class Ledger:
    """What one request, task or process owes. Shared by all of its threads and tasks."""

    __slots__ = ("last", "lock", "owed", "servers", "settled")

    def __init__(self) -> None:
        self.owed: dict[str, Position | Unplaced] = {}  # owner -> what a replica must have replayed
        self.last: dict[str, str] = {}  # owner -> the replica read last, where there are several
        self.servers: dict[str, str] = {}  # owner -> the server read last, where several are behind one alias
        # The one that had what is owed and was read last: nothing is compared again until it is judged anew.
        self.settled = _UNSETTLED
        self.lock = threading.Lock()

    @property
    def carries(self) -> bool:
        """Tell whether there is anything for the client to carry."""
        return bool(self.owed or self.last or self.servers)

    def owe(self, owner: str, what: Position | Unplaced) -> None:
        """Take down what the next reads of the owner must see; it bounds all that was read before."""
        with self.lock:
            before = self.owed.get(owner)
            if type(before) is Unplaced and type(what) is Unplaced:
                what.after(before)
            self.owed[owner] = what
            self.last.pop(owner, None)
            self.servers.pop(owner, None)
            self.settled = _UNSETTLED

    def settle(self, owner: str, owed: Position | Unplaced | None, best: Best) -> None:
        """Take down that this one has what was owed to its owner, if nothing else is by now."""
        with self.lock:
            if self.owed.get(owner) is owed:
                self.settled = best

    def position(self, owner: str) -> Position | Unplaced | None:
        """Return what is owed to the owner, as a position where one is known by now."""
        owed = self.owed.get(owner)
        if type(owed) is not Unplaced:
            return owed
        position = owed.position(owner)
        if position is None:
            return owed
        with self.lock:
            if self.owed.get(owner) is owed:  # or a later write came in between
                self.owed[owner] = position
        return position


class State:
    """A frame: what was asked for, in force until it is left. Never changed."""

    __slots__ = ("frozen", "held", "in_request", "ledger", "outer", "plain", "prefers", "sticky", "unsafe", "writable")

    def __init__(
        self,
        ledger: Ledger,
        *,
        in_request: bool = False,
        unsafe: bool = False,
        prefers: Prefers = "",
        sticky: bool = True,
        writable: frozenset[str] = frozenset(),
        held: Mapping[str, str] = _NOTHING,
        frozen: frozenset[str] = frozenset(),
        outer: "State | None" = None,
    ) -> None:
        self.ledger = ledger
        self.outer = outer
        self.in_request = in_request
        self.unsafe = unsafe  # what is read here decides what is written
        self.prefers = prefers
        self.sticky = sticky  # writes are owed
        self.writable = writable
        self.held = held  # owner -> the alias on which a read-only transaction is open
        self.frozen = frozen  # owners that are not written meanwhile
        self.plain = not (unsafe or prefers or held)

    def over(self, **changes: Any) -> "State":
        """Return a frame to put on this one."""
        kept = {
            "in_request": self.in_request,
            "unsafe": self.unsafe,
            "prefers": self.prefers,
            "sticky": self.sticky,
            "writable": self.writable,
            "held": self.held,
            "frozen": self.frozen,
        }
        return State(self.ledger, **{**kept, **changes}, outer=self)


_PROCESS = State(Ledger())
_current: ContextVar[State] = ContextVar("switchyard.state", default=_PROCESS)

current = _current.get


def push(state: State) -> None:
    """Put the frame, made by `current().over()`, in force."""
    _current.set(state)


def pop() -> None:
    """Take away the frame in force: the one that it was put on is in force again."""
    _current.set(_current.get().outer or _PROCESS)


class within:  # noqa: N801 - a block; made by a generator it would take a quarter of what a request costs here
    """Put the frame in force in this block, whatever was before."""

    __slots__ = ("_before", "_state")

    def __init__(self, state: State) -> None:
        self._state = state

    def __enter__(self) -> State:
        self._before = _current.get()
        _current.set(self._state)
        return self._state

    def __exit__(self, *_error: object) -> None:
        _current.set(self._before)


@contextmanager
def _step(left: list[State], enter: Callable[[], object]) -> Iterator[None]:
    """Put in force what the last step left so, and `enter()` puts at first, and take it away again."""
    before = _current.get()
    if left:
        _current.set(left.pop())
    else:
        enter()
    try:
        yield
    finally:
        left.append(_current.get())
        _current.set(before)


def stepwise[Item](steps: Iterator[Item], enter: Callable[[], object]) -> Iterator[Item]:
    """Yield what the iterator yields, with its own frames in force in each step and the consumer's outside of it.

    `enter()` puts the first one in force. A block that the iterator entered holds until it leaves it.
    """
    left: list[State] = []
    try:
        while True:
            with _step(left, enter):
                try:
                    item = next(steps)
                except StopIteration:
                    return
            yield item
    finally:
        if left and (close := getattr(steps, "close", None)) is not None:
            with _step(left, enter):
                close()


async def stepwise_async[Item](steps: AsyncIterator[Item], enter: Callable[[], object]) -> AsyncIterator[Item]:
    """Do as `stepwise()` for an async iterator."""
    left: list[State] = []
    try:
        while True:
            with _step(left, enter):
                try:
                    item = await anext(steps)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if left and (close := getattr(steps, "aclose", None)) is not None:
            with _step(left, enter):
                await close()


def request(*, unsafe: bool = False, ledger: Ledger | None = None) -> State:
    """Return the first frame of a request, with nothing that was in force outside it."""
    return State(ledger or Ledger(), in_request=True, unsafe=unsafe)


def task(ledger: Ledger | None = None) -> State:
    """Return the first frame of a background task."""
    return State(ledger or Ledger())


def owing(positions: Mapping[str, Position | None], last: Mapping[str, str] | None = None) -> Ledger:
    """Return a ledger of what was carried here; None is a write whose position nobody knows."""
    ledger = Ledger()
    for owner, position in positions.items():
        ledger.owe(owner, Unplaced(inf) if position is None else position)
    ledger.last.update(last or {})
    return ledger


def writes_allowed(alias: str) -> bool:
    """Return True inside `allow_writes(alias)`."""
    return alias in current().writable


def is_process(state: State) -> bool:
    """Tell whether the frame's ledger is that of no request and no task."""
    return state.ledger is _PROCESS.ledger
