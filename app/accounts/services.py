"""Writes of users, each on the owner in one transaction."""

from typing import TypedDict, Unpack

from django.db import IntegrityError, router, transaction

from accounts.models import User


class UsernameTakenError(Exception):
    """Another user has this username."""

    def __init__(self, username: str) -> None:
        super().__init__(f"The username {username!r} is taken. Choose another one.")


class UserFields(TypedDict, total=False):
    """The fields that a client may set; the password is not one of them."""

    username: str
    email: str
    first_name: str
    last_name: str
    is_active: bool


def user_create(**fields: Unpack[UserFields]) -> User:
    """Create a user who cannot sign in until somebody sets a password.

    Raises UsernameTakenError, and django.core.exceptions.ValidationError for a value that the model refuses.
    """
    user = User()
    user.set_unusable_password()
    _assign(user, fields)
    _save(user)
    return user


def user_update(*, user_id: int, **fields: Unpack[UserFields]) -> User:
    """Change the given fields only; raise the errors of `user_create`, and User.DoesNotExist.

    Reads and locks the row on the owner, because a replica's copy may be older.
    """
    with transaction.atomic(using=router.db_for_write(User)):
        user = User.objects.select_for_update().get(pk=user_id)
        if fields:
            _assign(user, fields)
            _save(user, update_fields=list(fields))
    return user


def user_delete(*, user_id: int) -> None:
    """Delete the user; raise User.DoesNotExist. The worker of references deletes the user's events afterwards."""
    _, deleted = User.objects.filter(pk=user_id).delete()
    if not deleted.get(User._meta.label):
        raise User.DoesNotExist


def _assign(user: User, fields: UserFields) -> None:
    for name, value in fields.items():
        setattr(user, name, value)
    user.clean()  # normalizes the username and the email's domain, which may make them longer
    user.clean_fields(exclude={field.name for field in User._meta.fields} - fields.keys())


def _save(user: User, *, update_fields: list[str] | None = None) -> None:
    try:
        user.save(update_fields=update_fields)
    except IntegrityError as error:
        raise UsernameTakenError(user.username) from error
