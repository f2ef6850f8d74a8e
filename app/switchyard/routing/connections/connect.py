"""Open a connection; give up as soon as the monitor marks the server down.

Only the driver's own time-out ends its wait for the greeting of a hung server, because the socket is not known yet. So
the driver waits in a thread of its own, and the thread ends when the driver gives up.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

_CHECK_INTERVAL_SECONDS = 0.1


def connect_unless_down(
    open_connection: Callable[[], Any], *, down_error: Callable[[], Exception | None], discard: Callable[[Any], Any]
) -> Any:
    """Return the opened connection.

    Raises the error of `open_connection()`, or the error that `down_error()` returns meanwhile. A connection that opens
    after that goes to `discard()`, to be closed.
    """
    opening: Future[Any] = Future()

    def work() -> None:
        try:
            opening.set_result(open_connection())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            opening.set_exception(error)

    def discard_late(done: Future[Any]) -> None:
        if done.exception() is None:
            discard(done.result())

    Thread(target=work, name="switchyard-connect", daemon=True).start()
    while True:
        try:
            return opening.result(timeout=_CHECK_INTERVAL_SECONDS)
        except TimeoutError:
            if opening.done():
                return opening.result()  # done just now, or it was its own error
            if (error := down_error()) is not None:
                opening.add_done_callback(discard_late)
                raise error from None
