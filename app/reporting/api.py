"""Reports over HTTP."""

# ruff: noqa: ARG001 - ninja passes the request to every view

import datetime as dt
from functools import partial

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status

from reporting.selectors import report_list
from reporting.services import report_create
from rest import Cursor, Day, Page, RequestBody, Rows, page

router = Router(tags=["reports"])


class ReportIn(RequestBody):
    """The UTC day to aggregate."""

    date: Day


class ReportOut(Schema):
    """A day's events of one kind."""

    id: int
    date: dt.date
    kind: str
    events: int
    users: int


class Summary(Schema):
    """The number of reports and of events of a day."""

    date: dt.date
    kinds: int
    events: int


class ReportFilter(Cursor):
    """A page of reports, optionally from one day on."""

    since: Day | None = None


@router.post("/reports", response={201: Summary})
def create_report(request: HttpRequest, response: HttpResponse, body: ReportIn) -> Status[dict[str, object]]:
    """Aggregate that day's events per kind. A second request for the same day updates its reports."""
    reports = report_create(date=body.date)
    response["Location"] = reverse("api:list_reports", query={"since": body.date.isoformat()})
    events = sum(report.events for report in reports)
    return Status(201, {"date": body.date, "kinds": len(reports), "events": events})


@router.get("/reports", response=Page[ReportOut])
def list_reports(request: HttpRequest, wanted: Query[ReportFilter]) -> Rows:
    """List the reports of the days from `since` on, in the order of their keys."""
    return page(partial(report_list, since=wanted.since), wanted)
