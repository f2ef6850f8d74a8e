"""Django's admin: it lists every model, and changes rows of `legacy` only if LEGACY_WRITABLE is true."""

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
    """Return the client of a superuser."""
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
    """The form to add a row is there only if LEGACY_WRITABLE is true."""
    settings.LEGACY_WRITABLE = writable

    assert staff.get(reverse(admin_url(model, "add"))).status_code == status


def admin_url(model, page):
    return f"{admin.site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}"
