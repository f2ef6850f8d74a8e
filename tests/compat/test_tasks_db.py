"""django-tasks-db: the worker of a queue of `django.tasks` that lives in the database."""

from django.core.management import call_command

from project.shop.models import Item
from project.shop.tasks import item_exists


def work() -> None:
    """Run all tasks that wait, as the worker's process does."""
    call_command("db_worker", "--batch", "--no-startup-delay", verbosity=0)


def test_worker__sees_the_rows_of_the_client(others, replay_paused):
    """A worker takes the task at once, and its task sees the row that the client wrote before it sent the task."""
    with replay_paused():
        Item.objects.create(name="for a task")
        sent = item_exists.enqueue("for a task")
        with others():
            work()
        sent.refresh()

        assert sent.return_value is True


def test_worker__of_a_task_sent_by_somebody_else(others, replay_paused):
    """A worker in fresh state takes a task that the standby does not show."""
    with replay_paused():
        with others():
            sent = item_exists.enqueue("for nobody")
        work()
        sent.refresh()

        assert sent.return_value is False
