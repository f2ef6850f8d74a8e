"""Celery tasks: what their messages carry, and the state that they are done in. A real worker, a broker in memory."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.published import at, lagging, replayed

from accounts.models import User
from switchyard.routing.selection.select import decide
from switchyard.routing.session import context
from switchyard.routing.session.context import activate, current
from switchyard.routing.topology.replication import ReplicationSet

celery = pytest.importorskip("celery")


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    """A Celery app that carries, as its project would make it, and tasks that say where their reads go."""
    from celery.contrib.testing.worker import start_worker  # noqa: PLC0415 - it may not be installed

    from switchyard.routing.contrib.celery import connect  # noqa: PLC0415 - as above

    connect()
    app = celery.Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="where")
    def where(then: str = "") -> str:
        alias = decide(User).alias
        current().consistency.require("default", at(900))
        if then:
            raise ValueError(then)
        return alias

    @app.task(name="tries_again", bind=True, default_retry_delay=0)
    def tries_again(self: Any) -> str:
        if self.request.retries == 0:
            current().consistency.require("default", at(900))
            raise self.retry()
        return decide(User).alias

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Celery's own
        with start_worker(app, perform_ping_check=False, pool="solo"):
            yield app


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """A replica that has replayed 500; this test's state is its own."""
    with lagging("replica") as group, activate(context.task_context()):
        replayed(group, replica=500)
        yield group


@pytest.mark.parametrize(("owed", "alias"), [(None, "replica"), (400, "replica"), (600, "default")])
def test_task__done_by_a_worker(app: Any, group: ReplicationSet, owed: int | None, alias: str) -> None:
    """It reads a replica as soon as that has what was written before it was sent."""
    if owed is not None:
        current().consistency.require("default", at(owed))

    assert app.tasks["where"].delay().get(timeout=10) == alias


def test_task__after_another(app: Any, group: ReplicationSet) -> None:
    """What one task wrote, failed or not, the worker's next one does not owe."""
    app.tasks["where"].delay(then="as it should").get(timeout=10, propagate=False)

    assert app.tasks["where"].delay().get(timeout=10) == "replica"
    assert app.tasks["where"].delay().get(timeout=10) == "replica"


def test_task__tried_again(app: Any, group: ReplicationSet) -> None:
    """What the first try wrote, the second one sees."""
    assert app.tasks["tries_again"].delay().get(timeout=10) == "default"


@pytest.mark.parametrize("owed", [None, 600])
def test_task__eager(app: Any, group: ReplicationSet, owed: int | None) -> None:
    """One that is done where it is ordered begins with what is owed there, and leaves nothing."""
    before = current()
    if owed is not None:
        current().consistency.require("default", at(owed))
    owes = dict(current().consistency.required)

    assert app.tasks["where"].apply().get() == ("default" if owed else "replica")
    assert current() is before
    assert current().consistency.required == owes
