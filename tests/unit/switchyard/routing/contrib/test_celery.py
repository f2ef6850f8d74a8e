"""The tokens in Celery messages and the routing context of their tasks, with a real worker and a broker in memory."""

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
    """A Celery app of a project that calls `connect()`, with tasks that return the alias of their reads."""
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
    """A replica that has replayed 500, in a routing context of this test."""
    with lagging("replica") as group, activate(context.task_context()):
        replayed(group, replica=500)
        yield group


@pytest.mark.parametrize(("required", "alias"), [(None, "replica"), (400, "replica"), (600, "default")])
def test_connect__a_worker(app: Any, group: ReplicationSet, required: int | None, alias: str) -> None:
    """A task reads a replica that has caught up to the position required when the task was sent."""
    if required is not None:
        current().consistency.require("default", at(required))

    assert app.tasks["where"].delay().get(timeout=10) == alias


def test_connect__a_task_after_another(app: Any, group: ReplicationSet) -> None:
    """A task does not inherit required positions from the worker's task before it, failed or not."""
    app.tasks["where"].delay(then="as it should").get(timeout=10, propagate=False)

    assert app.tasks["where"].delay().get(timeout=10) == "replica"
    assert app.tasks["where"].delay().get(timeout=10) == "replica"


def test_connect__a_retry(app: Any, group: ReplicationSet) -> None:
    """A retry sees the writes of the first attempt."""
    assert app.tasks["tries_again"].delay().get(timeout=10) == "default"


@pytest.mark.parametrize("required", [None, 600])
def test_connect__an_eager_task(app: Any, group: ReplicationSet, required: int | None) -> None:
    """An eager task has the required positions of its sender, and the sender has those of the task."""
    before = current()
    if required is not None:
        current().consistency.require("default", at(required))

    assert app.tasks["where"].apply().get() == ("default" if required else "replica")
    assert current() is before
    assert current().consistency.required == {"default": at(900)}
