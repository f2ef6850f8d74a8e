"""Names of gunicorn that the worker class overrides or calls, without a promise: a rename must be noticed."""

import inspect

import pytest
from gunicorn.asgi.parser import PythonProtocol
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import ThreadWorker

from config.buffering.draining import DrainingWorker
from config.buffering.worker import BufferingWorker

OVERRIDDEN = {
    name: method
    for name, method in {**vars(DrainingWorker), **vars(BufferingWorker)}.items()
    if hasattr(ThreadWorker, name) and not name.startswith("__")
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_override__takes_the_same_arguments(name: str) -> None:
    """A method that is overridden takes as many arguments as gunicorn's own."""
    ours, theirs = (inspect.signature(getattr(worker, name)).parameters for worker in (BufferingWorker, ThreadWorker))

    assert len(ours) == len(theirs)


def test_override__each_is_called_by_the_main_loop() -> None:
    """The main loop of gunicorn and its accepting call the methods that are overridden."""
    assert set(OVERRIDDEN) == {
        *("check_config", "init_process", "accept", "enqueue_req", "handle", "finish_request"),
        *("murder_keepalived", "murder_pending", "_cap_keepalive", "handle_exit"),
    }
    run = inspect.getsource(ThreadWorker.run)
    called = {"murder_keepalived", "murder_pending", "_cap_keepalive"}
    assert {name for name in OVERRIDDEN if f"self.{name}(" in run} == called
    assert "self.accept" in inspect.getsource(ThreadWorker.set_accept_enabled)


@pytest.mark.parametrize("name", ["handle_request", "handle_error", "set_accept_enabled", "handle_exit"])
def test_inherited__is_there(name: str) -> None:
    """Methods of gunicorn that the worker class relies on exist."""
    assert callable(getattr(ThreadWorker, name))


def test_handle_request__uses_of_a_connection() -> None:
    """The handling of a request uses three attributes of a connection."""
    source = inspect.getsource(ThreadWorker.handle_request)

    assert {name for name in ("sock", "client", "server", "parser", "init") if f"conn.{name}" in source} == {
        *("sock", "client", "server"),
    }


@pytest.mark.parametrize("part", [PythonProtocol, ChunkedReader, LengthReader, Request, IterUnreader])
def test_parser__parts(part: type) -> None:
    """The parts of gunicorn's parsers that read a request have the methods that are called."""
    wanted = {PythonProtocol: ("feed", "remaining"), IterUnreader: ("take_buffered",), Request: ("force_close",)}

    assert [name for name in wanted.get(part, ("read",)) if not callable(getattr(part, name, None))] == []
