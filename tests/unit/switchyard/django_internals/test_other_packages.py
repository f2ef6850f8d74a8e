"""Tasks, the admin, and the client library of Prometheus."""

import inspect
from types import SimpleNamespace

import pytest
from django.contrib.admin import site
from django.urls import resolve, reverse
from prometheus_client.utils import floatToGoString

from accounts.models import User


def test_tasks__class_of_a_backend() -> None:
    """`@task` makes an object of the backend's `task_class`, and a worker runs it by `call()` or `acall()`."""
    tasks = pytest.importorskip("django.tasks")
    backends = pytest.importorskip("django.tasks.backends.immediate")

    assert backends.ImmediateBackend.task_class is tasks.Task
    assert "task_class" in inspect.getclosurevars(tasks.task).unbound or "task_class" in inspect.getsource(tasks.task)
    assert "task.call(" in inspect.getsource(backends.ImmediateBackend._execute_task)
    assert list(inspect.signature(backends.ImmediateBackend).parameters)[:2] == ["alias", "params"]


def test_tasks__check_of_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's check of TASKS yields what `check()` of each backend returns."""
    checks = pytest.importorskip("django.tasks.checks")
    tasks = pytest.importorskip("django.tasks")

    class Checked:
        def check(self) -> list[str]:
            return ["message"]

    monkeypatch.setattr(tasks, "task_backends", SimpleNamespace(all=lambda: [Checked()]))
    assert list(checks.check_tasks()) == ["message"]


def test_admin__views_name_their_model_admin() -> None:
    """A view of the admin carries its ModelAdmin, and the page of one object takes `object_id`."""
    listed = resolve(reverse("admin:accounts_user_changelist"))
    changed = resolve(reverse("admin:accounts_user_change", args=[1]))

    assert listed.func.model_admin is site.get_model_admin(User)  # type: ignore[attr-defined]
    assert changed.kwargs == {"object_id": "1"}


def test_prometheus__bounds_of_buckets() -> None:
    """The client library writes the bounds of a histogram by `floatToGoString()`."""
    assert [floatToGoString(bound) for bound in (0.0005, 1.0, 10.0)] == ["0.0005", "1.0", "10.0"]
