"""Django's admin: every model can be looked at, and the older application's rows change only where that is allowed."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer, Order
from reporting.models import AnalyticsReport

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics", "legacy"], transaction=True)


@pytest.fixture
def staff():
    """Return the client of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize("model", [User, AnalyticsEvent, AnalyticsReport, Customer, Order])
def test_admin__list(model, staff):
    """The list of each model is shown."""
    assert staff.get(reverse(admin_url(model, "changelist"))).status_code == 200


@pytest.mark.parametrize("model", [Customer, Order])
@pytest.mark.parametrize(("writable", "status"), [(False, 403), (True, 200)])
def test_admin__add_to_legacy(model, writable, status, staff, settings):
    """A form to add a row is there only where LEGACY_WRITABLE says so."""
    settings.LEGACY_WRITABLE = writable

    assert staff.get(reverse(admin_url(model, "add"))).status_code == status


def admin_url(model, page):
    return f"{admin.site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}"
