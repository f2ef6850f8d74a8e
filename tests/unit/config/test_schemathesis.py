"""Right, wrong and hostile input for the whole API, generated from its own document: no response is a 5xx."""

import datetime as dt

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.api import api
from legacy.models import Customer
from reporting.services import report_create
from switchyard.routing import allow_writes
from switchyard.routing.topology.ownership import owner_of

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)

schema = schemathesis.openapi.from_dict(api.get_openapi_schema(path_prefix="/api/"))
schema.app = WSGIHandler()


@pytest.fixture
def _rows():
    """Rows in each table, so that the responses have contents."""
    ada = User.objects.create(pk=1, username="ada")
    AnalyticsEvent.objects.create(user_id=ada.pk, kind="view", at=NOON)
    report_create(date=NOON.date())
    with allow_writes(owner_of(Customer), reason="a test's rows"):
        Customer.objects.create(name="Acme", email="who@example.com", created_at=NOON)


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.usefixtures("_rows")
@schema.parametrize()
@settings(max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_api__any_input(case):
    """The status, type and body of each response agree with the document, and no response is a 5xx."""
    case.call_and_validate(
        headers={"Authorization": f"Bearer {django_settings.API_TOKEN}"},
        checks=[
            checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
