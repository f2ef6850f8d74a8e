"""django-prometheus beside Switchyard's own metrics."""

from prometheus_client import REGISTRY

from project.counted.models import Event
from switchyard.telemetry import snapshot


def theirs(alias: str) -> float:
    """Return django-prometheus' count of statements on the alias."""
    return REGISTRY.get_sample_value("django_db_execute_total", {"alias": alias, "vendor": "postgresql"}) or 0


def ours(alias: str) -> float:
    """Return Switchyard's count of calls on the alias."""
    return sum(
        value
        for (name, labels), value in snapshot().items()
        if name == "switchyard_queries_total" and ("alias", alias) in labels
    )


def test_count__of_reads_and_writes(others, replay_paused):
    """Both count the same statements of the program; questions of the monitor are in neither."""
    with others():
        Event.objects.create(name="before")
    with replay_paused():
        list(Event.objects.all())
        before = {alias: (theirs(alias), ours(alias)) for alias in ("counted", "counted_replica")}
        for _ in range(5):
            assert Event.objects.filter(name="before").exists()
        Event.objects.create(name="counted")
        after = {alias: (theirs(alias), ours(alias)) for alias in ("counted", "counted_replica")}

    assert [now - then for now, then in zip(after["counted_replica"], before["counted_replica"], strict=True)] == [5, 5]
    assert [now - then for now, then in zip(after["counted"], before["counted"], strict=True)] == [1, 1]
