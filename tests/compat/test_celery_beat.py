"""django-celery-beat: the scheduler of a process that reads its schedule from the database."""

from celery import Celery
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler


def scheduler() -> DatabaseScheduler:
    """Return a scheduler as `celery beat` makes it."""
    app = Celery("compat", broker="memory://", set_as_current=False)
    return DatabaseScheduler(app=app, lazy=True)


def test_schedule__changed_by_somebody_else(others, replay_paused):
    """The scheduler notices a new task at once."""
    with others():
        every = IntervalSchedule.objects.create(every=10, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.create(name="old", task="old", interval=every)
    with replay_paused():
        beat = scheduler()
        beat.schedule_changed()  # the first call notes the time
        before = set(beat.schedule)
        with others():
            PeriodicTask.objects.create(name="new", task="new", interval=every)

        assert "old" in before
        assert "new" in beat.schedule  # which reads the time of the last change


def test_sync__stores_the_last_run(others, replay_paused):
    """The scheduler stores the last run of a task, and reads it back."""
    with others():
        every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
        PeriodicTask.objects.create(name="hourly", task="hourly", interval=every)
    with replay_paused():
        beat = scheduler()
        beat.reserve(beat.schedule["hourly"])
        beat.sync()

        stored = PeriodicTask.objects.using("default").get(name="hourly")
        assert stored.total_run_count == 1
        assert stored.last_run_at is not None
        assert PeriodicTask.objects.get(name="hourly").total_run_count == 1
