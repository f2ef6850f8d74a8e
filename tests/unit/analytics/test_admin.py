"""Events in the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client, override_settings

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.settings import SWITCHYARD


@pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
def test_event__added_changed_and_deleted() -> None:
    """The admin may write its log, on the owner of the users, in the transaction of the event."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    row = {"user_id": 1, "kind": "a", "at_0": "2026-01-02", "at_1": "12:00:00"}
    with override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": {"cross_owner_transaction": "raise"}}):
        client.post("/admin/analytics/analyticsevent/add/", row, secure=True)
        event = AnalyticsEvent.objects.get()
        client.post(f"/admin/analytics/analyticsevent/{event.pk}/change/", {**row, "kind": "b"}, secure=True)
        client.post(f"/admin/analytics/analyticsevent/{event.pk}/delete/", {"post": "yes"}, secure=True)

    assert not AnalyticsEvent.objects.exists()
    assert sorted(LogEntry.objects.values_list("action_flag", flat=True)) == [1, 2, 3]
