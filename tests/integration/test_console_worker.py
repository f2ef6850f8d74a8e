"""The console over a pod of the service and a pod of the worker of references: real processes, on SQLite files."""

from collections.abc import Callable, Iterator

import pytest
from tests.support.gunicorn import database_environ
from tests.support.pods import Pod, WorkerPod, pod_and_worker
from tests.support.waiting import until

OTHER_KEY = "another-key-only-for-tests-" * 3


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pod, WorkerPod]]:
    """A running pod of the service, and one of the worker, on migrated databases."""
    environ = database_environ(tmp_path_factory.mktemp("data"), users=20)
    with pod_and_worker(environ, tmp_path_factory.mktemp("pods")) as found:
        yield found


@pytest.fixture
def both(running: tuple[Pod, WorkerPod]) -> tuple[Pod, WorkerPod]:
    """Both pods; each process of the service has an answer of the worker."""
    service, _worker = running
    steadily(lambda: answering(service) == [(False, True), (True, True)], "the worker answers")
    return running


def steadily(true: Callable[[], bool], what: str) -> None:
    """Wait until `true()` is true eight times in turn: the pod has two processes, and each of them may answer."""
    until(lambda: all(true() for _ in range(8)), what, seconds=60)


def answering(service: Pod) -> list[tuple[bool, bool]]:
    """Return for each pod, the asked one first, whether it is a worker's, and whether the console has its numbers."""
    return [(each["worker"], each["answers"]) for each in service.data()["pods"]]


def waiting(service: Pod) -> int | None:
    """Return the deleted parents that wait, of the only reference of the service; None if no worker reports."""
    (entry,) = service.data()["references"]
    count: int | None = entry["waiting"]
    return count


def states(service: Pod) -> dict[str, str]:
    """Return the state of each alias on the console."""
    return {each["alias"]: each["state"] for each in service.data()["aliases"]}


def test_worker__reports(both: tuple[Pod, WorkerPod]) -> None:
    """The console of the service shows the backlog that the worker's pod reports."""
    service, _worker = both

    until(lambda: waiting(service) == 0, "the backlog of the worker is on the console", seconds=30)


def test_worker__restarts_with_another_key(both: tuple[Pod, WorkerPod]) -> None:
    """Each start of the worker renews the tokens of its exporter: those of the new key, and of the fallbacks."""
    service, worker = both
    worker.restart(SECRET_KEY=OTHER_KEY)
    steadily(lambda: answering(service) == [(False, True), (True, False)], "the worker has another token")
    worker.restart(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=worker.environ["SECRET_KEY"])

    steadily(lambda: answering(service) == [(False, True), (True, True)], "the worker accepts the older token")


def test_worker__pod_is_down(both: tuple[Pod, WorkerPod]) -> None:
    """Without the worker's pod the console says so, knows no backlog, and shows the rest as before."""
    service, worker = both
    before = states(service)
    worker.end()
    worker.exporter.kill()
    worker.exporter.wait()

    steadily(lambda: answering(service) == [(False, True), (True, False)], "the worker is missing")
    assert waiting(service) is None
    assert states(service) == before
