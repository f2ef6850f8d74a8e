"""django-simple-history: history of instances that were loaded from the standby."""

from django.contrib.auth.models import User
from django.test import Client
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from project.shop.models import Essay


def essay_from_replica(text: str) -> Essay:
    """Return an instance that was loaded from the standby."""
    essay = Essay.objects.get(text=text)
    assert essay._state.db == "replica"
    return essay


def test_history__of_an_instance_from_the_replica(others, replay_paused):
    """save() and delete() write history rows, and the history that follows shows them."""
    with others():
        Essay.objects.create(text="draft")
    with replay_paused():
        essay = essay_from_replica("draft")
        essay.text = "final"
        essay.save()
        texts = list(essay.history.values_list("text", flat=True))
        before = essay.history.first().prev_record
        key = essay.pk
        essay.delete()
        kinds = list(Essay.history.filter(id=key).values_list("history_type", flat=True))

    assert texts == ["final", "draft"]
    assert before.text == "draft"
    assert kinds == ["-", "~", "+"]


def test_history__changed_through_the_related_manager(others, replay_paused):
    """The related manager of an instance from the standby updates and deletes on the owner."""
    with others():
        Essay.objects.create(text="noted")
    with replay_paused():
        essay = essay_from_replica("noted")
        changed = essay.history.update(history_change_reason="checked")
        reasons = list(essay.history.values_list("history_change_reason", flat=True))
        essay.history.all().delete()

        assert (changed, reasons, essay.history.count()) == (1, ["checked"], 0)


def test_history__in_bulk(others, replay_paused):
    """The bulk functions write rows and their history on the owner."""
    with others():
        Essay.objects.create(text="bulk")
    with replay_paused():
        essay = essay_from_replica("bulk")
        essay.text = "bulk, changed"
        bulk_update_with_history([essay], Essay, ["text"])
        made = bulk_create_with_history([Essay(text="bulk, new")], Essay)

        assert essay.history.count() == 2
        assert made[0].history.count() == 1


def test_history_user__is_the_user_of_the_request(others, replay_paused):
    """A request records its user, and the next request of the client sees the row."""
    with others():
        writer = User.objects.create_user("historian")
        essay = Essay.objects.create(text="old")
    client = Client()
    client.force_login(writer)
    with replay_paused():
        response = client.post(f"/change/essay/{essay.pk}", {"text": "new"})

    assert response.status_code == 200, response.content
    assert essay.history.using("default").latest().history_user == writer


def test_revert__to_an_older_record(others, replay_paused):
    """An older record of an instance from the standby can be saved again."""
    with others():
        made = Essay.objects.create(text="first")
        made.text = "second"
        made.save()
    with replay_paused():
        essay = essay_from_replica("second")
        essay.history.earliest().instance.save()

        assert Essay.objects.get(pk=essay.pk).text == "first"
