"""Events over HTTP, and the users who have events."""

# ruff: noqa: ARG001 - ninja passes the request to every view

import datetime as dt
from functools import partial
from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Body, Query, Router, Schema, Status
from ninja.errors import ValidationError
from pydantic import Field

from accounts.api import UserOut
from analytics.selectors import event_list, user_active_list
from analytics.services import NewEvent, UnknownUsersError, events_create
from rest import BodyKey, Cursor, Key, Moment, OneOrMany, Page, RequestBody, Rows, Text, page

router = Router(tags=["events"])

Kind = Annotated[Text, Field(min_length=1, max_length=64)]


class EventOut(Schema):
    """An event: a user's action and its time."""

    id: int
    user_id: int
    kind: str
    at: dt.datetime


class EventIn(RequestBody):
    """An event to store. The default of `at` is now."""

    user_id: BodyKey
    kind: Kind
    at: Moment = Field(default_factory=timezone.now)


class Stored(Schema):
    """The number of events that were stored."""

    stored: int


class EventFilter(Cursor):
    """A page of events, optionally of one user or one kind."""

    user_id: Key | None = None
    kind: Kind | None = None


class ActiveSince(Cursor):
    """A page of users who were active since a moment."""

    since: Moment


@router.post("/events", response={201: Stored})
def create_events(request: HttpRequest, body: Annotated[OneOrMany[EventIn], Body()]) -> Status[dict[str, int]]:
    """Store one event, or a list of up to 1,000 events: all or none. An unknown user answers 422."""
    events = body if isinstance(body, list) else [body]
    try:
        stored = events_create(events=[NewEvent(event.user_id, event.kind, event.at) for event in events])
    except UnknownUsersError as error:
        unknown = set(error.user_ids)
        raise ValidationError(
            [
                {
                    "loc": ("body", "body", *((index,) if isinstance(body, list) else ()), "user_id"),
                    "msg": f"No user has the key {event.user_id}.",
                }
                for index, event in enumerate(events)
                if event.user_id in unknown
            ]
        ) from error
    return Status(201, {"stored": stored})


@router.get("/events", response=Page[EventOut])
def list_events(request: HttpRequest, wanted: Query[EventFilter]) -> Rows:
    """List events in the order of their keys."""
    return page(partial(event_list, user_id=wanted.user_id, kind=wanted.kind), wanted)


@router.get("/users/active", response=Page[UserOut], tags=["users"])
def list_active_users(request: HttpRequest, wanted: Query[ActiveSince]) -> Rows:
    """List the users with an event at or after `since`, in the order of their keys."""
    return page(partial(user_active_list, since=wanted.since), wanted)
