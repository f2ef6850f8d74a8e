"""django-auditlog: log entries of instances that were loaded from the standby."""

from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from project.shop.models import Invoice


def test_log_entry__of_an_instance_from_the_replica(others, replay_paused):
    """A change of an instance from the standby is logged, and the log can be read at once."""
    with others():
        Invoice.objects.create(number="1")
    with replay_paused():
        invoice = Invoice.objects.get(number="1")
        loaded_from = invoice._state.db
        invoice.number = "1a"
        invoice.save()
        changes = [entry.changes for entry in LogEntry.objects.get_for_object(invoice)]
        invoice.delete()

        assert loaded_from == "replica"
        assert changes[0] == {"number": ["1", "1a"]}


def test_log_entry__has_the_user_of_the_request(others, replay_paused):
    """A log entry of a request has the user of the request as actor."""
    with others():
        writer = User.objects.create_user("auditor")
        invoice = Invoice.objects.create(number="2")
    client = Client()
    client.force_login(writer)
    with replay_paused():
        response = client.post(f"/change/invoice/{invoice.pk}", {"text": "2a"})

        assert response.status_code == 200, response.content
        assert LogEntry.objects.get_for_object(invoice).using("default").first().actor == writer
