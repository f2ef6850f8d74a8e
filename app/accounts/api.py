"""Users over HTTP. The schemas validate requests; services and selectors do the work."""

# ruff: noqa: ARG001 - ninja passes the request to every view

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from ninja.errors import HttpError
from pydantic import Field, StrictBool

from accounts.models import User
from accounts.selectors import user_get, user_list
from accounts.services import UsernameTakenError, user_create, user_delete, user_update
from rest import PROBLEM, Cursor, Key, Page, RequestBody, Rows, Text, page

router = Router(tags=["users"])

MAY_CONFLICT = {"responses": {409: PROBLEM}}

Username = Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[\w.@+-]+$")]
Email = Annotated[Text, Field(max_length=254, description="An address, or an empty string.")]
Name = Annotated[Text, Field(max_length=150)]
UNSENT: Any = None  # a default that the OpenAPI document does not show and that no client can send


class UserOut(Schema):
    """A user, without secrets."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    is_active: bool
    date_joined: dt.datetime


class UserIn(RequestBody):
    """A user to create."""

    username: Username
    email: Email = ""
    first_name: Name = ""
    last_name: Name = ""
    is_active: StrictBool = True


class UserPatch(RequestBody):
    """The fields to change. A field that is left out keeps its value; no field may be null."""

    username: Username = UNSENT
    email: Email = UNSENT
    first_name: Name = UNSENT
    last_name: Name = UNSENT
    is_active: StrictBool = UNSENT


@router.get("/users", response=Page[UserOut])
def list_users(request: HttpRequest, cursor: Query[Cursor]) -> Rows:
    """List users in the order of their keys."""
    return page(user_list, cursor)


@router.post("/users", response={201: UserOut}, openapi_extra=MAY_CONFLICT)
def create_user(request: HttpRequest, response: HttpResponse, body: UserIn) -> Status[User]:
    """Create a user who cannot sign in. Answers 409 when the username is taken."""
    with _taken_is_conflict():
        user = user_create(**body.model_dump())
    response["Location"] = reverse("api:get_user", kwargs={"user_id": user.pk})
    return Status(201, user)


@router.get("/users/{int:user_id}", response=UserOut)
def get_user(request: HttpRequest, user_id: Key) -> User:
    """Return one user."""
    return user_get(user_id=user_id)


@router.patch("/users/{int:user_id}", response=UserOut, openapi_extra=MAY_CONFLICT)
def update_user(request: HttpRequest, user_id: Key, body: UserPatch) -> User:
    """Change the fields that the request holds."""
    with _taken_is_conflict():
        return user_update(user_id=user_id, **body.model_dump(exclude_unset=True))


@router.delete("/users/{int:user_id}", response={204: None})
def delete_user(request: HttpRequest, user_id: Key) -> Status[None]:
    """Delete one user. The user's events are deleted soon afterwards."""
    user_delete(user_id=user_id)
    return Status(204, None)


@contextmanager
def _taken_is_conflict() -> Iterator[None]:
    try:
        yield
    except UsernameTakenError as error:
        raise HttpError(409, str(error)) from error
