"""Open a connection, and wait for it no longer than its server is not known to be away.

A driver that waits for a hung server to greet is woken by nothing but its own time-out, as its socket is not known yet.
So it waits in a thread, which lives as long as it must.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

_LOOK = 0.1  # seconds from one look at the server's state to the next


def opened(
    open_connection: Callable[[], Any], *, away: Callable[[], Exception | None], late: Callable[[Any], Any]
) -> Any:
    """Return what is opened, or raise what opening raises or what `away()` returns meanwhile.

    What is open only then is given to `late()`, to be closed.
    """
    opening: Future[Any] = Future()

    def work() -> None:
        try:
            opening.set_result(open_connection())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where it is waited for
            opening.set_exception(error)

    def discard(done: Future[Any]) -> None:
        if done.exception() is None:
            late(done.result())

    Thread(target=work, name="switchyard-opens", daemon=True).start()
    while True:
        try:
            return opening.result(timeout=_LOOK)
        except TimeoutError:
            if opening.done():
                return opening.result()  # done just now, or it was its own error
            if (error := away()) is not None:
                opening.add_done_callback(discard)
                raise error from None
