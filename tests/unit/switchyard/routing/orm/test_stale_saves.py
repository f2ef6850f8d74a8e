"""Full saves of instances from a replica, on real SQLite connections. The integration tests have a lagging replica."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import F, Model
from django.db.models.signals import post_save
from django.test import override_settings
from tests.support.kinds import OTHER, Kind, Special, made

from accounts.models import User
from config.settings import SWITCHYARD
from switchyard.routing import StaleSaveError
from switchyard.routing.orm import stale_saves
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


@pytest.fixture
def ada() -> User:
    """Return a user that was read from the replica."""
    User.objects.create(username="ada", email="old@example.org")
    return User.objects.using("replica").get()


@pytest.fixture
def kind() -> Iterator[Kind]:
    """Yield a row with a field of each kind that was read from the replica."""
    with made("default"):
        Kind.objects.create()
        yield Kind.objects.using("replica").get()


def change(instance: Model, **values: Any) -> None:
    """Change the owner's row; the instance does not see it."""
    type(instance)._base_manager.using("default").filter(pk=instance.pk).update(**values)


def recorded(instance: Model) -> dict[str, Any]:
    """Return the recorded values of the replica."""
    return stale_saves._recorded(instance)


def policy(**stale_save: Any) -> override_settings:
    """Set the policy in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": stale_save})


def test_save__of_a_stale_instance(ada: User) -> None:
    """The error names the model, the key, the changed fields and the remedies; nothing is written."""
    change(ada, email="new@example.org", last_name="Lovelace")
    ada.first_name = "Ada"

    with pytest.raises(StaleSaveError) as refused:
        ada.save()

    assert str(refused.value) == (
        f"save() of accounts.User {ada.pk} would undo what others wrote on 'default' since a replica's copy was made: "
        'changed: last_name, email. Load it anew, `refresh_from_db(using="default")`, or write what you changed alone,'
        " `save(update_fields=[...])`."
    )
    assert User.objects.using("default").values_list("first_name", "email").get() == ("", "new@example.org")


def test_save__of_an_instance_that_is_not_stale(ada: User) -> None:
    """The save is one UPDATE, and the instance belongs to the owner afterwards."""
    ada.email = "new@example.org"
    with assert_queries(default=1):
        ada.save()

    assert (ada._state.db, recorded(ada)) == ("default", {})
    assert User.objects.using("default").get().email == "new@example.org"


def test_save__again(ada: User) -> None:
    """The second save compares nothing, because the instance has the owner's values."""
    ada.save()
    change(ada, email="new@example.org")
    ada.save()

    assert User.objects.using("default").get().email == "old@example.org"


def test_save__after_the_row_was_deleted(ada: User) -> None:
    """The save is refused, and the row does not come back."""
    User.objects.using("default").all().delete()

    with pytest.raises(StaleSaveError, match="the row was deleted"):
        ada.save()
    assert not User.objects.using("default").exists()


def test_save__of_some_fields(ada: User) -> None:
    """save(update_fields) compares nothing; a later full save compares the other fields."""
    change(ada, email="new@example.org")
    ada.first_name = "Ada"
    ada.save(update_fields=["first_name"])
    assert User.objects.using("default").get().first_name == "Ada"

    with pytest.raises(StaleSaveError, match="changed: email"):
        ada.save()


def test_save__of_an_instance_from_the_owner() -> None:
    """The last save wins, as in Django."""
    User.objects.create(username="ada")
    ada = User.objects.using("default").get()
    change(ada, email="new@example.org")
    ada.save()

    assert User.objects.using("default").get().email == ""


def test_save__with_the_policy_warn(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    """The save logs a warning and goes on; a deleted row comes back."""
    change(ada, email="new@example.org")
    with policy(stale_save="warn"):
        ada.save()
        assert User.objects.using("default").get().email == "old@example.org"

        ada = User.objects.using("replica").get()
        User.objects.using("default").all().delete()
        ada.save()

    assert User.objects.using("default").get() == ada
    assert [("changed: email" in text, "deleted" in text) for text in caplog.messages] == [(True, False), (False, True)]


def test_save__with_the_policy_allow(ada: User) -> None:
    """Nothing is recorded, by model label or for all models, and the save is one query without a condition."""
    for value in ("allow", {"accounts.User": "allow"}, {"*": "allow"}):
        with policy(stale_save=value):
            ada = User.objects.using("replica").get()
            assert recorded(ada) == {}
            change(ada, email="new@example.org")
            with assert_queries(default=1):
                ada.save()


def test_refresh__from_the_owner(ada: User) -> None:
    """The instance belongs to the owner, and nothing is recorded."""
    change(ada, email="new@example.org")
    ada.refresh_from_db(using="default")
    change(ada, email="newer@example.org")
    ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_refresh__from_the_replica(ada: User) -> None:
    """The values of the last read are recorded, also for an instance that was read from the owner before."""
    change(ada, email="new@example.org")
    ada.refresh_from_db(using="replica")
    ada.save()
    ada.refresh_from_db(using="replica")
    change(ada, email="newer@example.org")

    with pytest.raises(StaleSaveError, match="changed: email"):
        ada.save()


def test_refresh__of_some_fields_from_the_owner(ada: User) -> None:
    """The refreshed fields are not compared any more, the other fields are."""
    ada.refresh_from_db(using="default", fields=["email"])
    change(ada, email="new@example.org")
    assert "email" not in recorded(ada)

    change(ada, last_name="Lovelace")
    with pytest.raises(StaleSaveError, match="changed: last_name"):
        ada.save()


def test_refresh__of_a_prefetched_relation() -> None:
    """Nothing is recorded, also with the policy `allow`."""
    User.objects.create(username="ada")
    with policy(stale_save="allow"):
        ada = User.objects.using("replica").prefetch_related("groups").get()
    ada.refresh_from_db(fields=["groups"])

    assert recorded(ada) == {}


def test_save__with_deferred_fields() -> None:
    """A deferred field is compared only after it was loaded from a replica."""
    User.objects.create(username="ada")
    ada = User.objects.using("replica").only("username").get()
    assert recorded(ada).keys() == {"id", "username"}

    assert ada.email == ""
    assert recorded(ada).keys() == {"id", "username", "email"}


def test_save__of_a_new_row_from_a_copy(ada: User) -> None:
    """An instance without its primary key, or with another one, is another row."""
    change(ada, email="new@example.org")
    other = copy.copy(ada)
    other.pk, other.username = None, "bob"
    other._state.adding = True
    other.save()
    third = copy.copy(ada)
    third.pk, third.username = other.pk + 1, "eve"
    third.save()

    assert sorted(User.objects.using("default").values_list("username", flat=True)) == ["ada", "bob", "eve"]
    assert (recorded(other), recorded(third)) == ({}, {})


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda ada: pickle.loads(pickle.dumps(ada))])
def test_save__of_a_copy(ada: User, copied: Any) -> None:
    """A copied or pickled instance is as stale as the original."""
    change(ada, email="new@example.org")

    with pytest.raises(StaleSaveError):
        copied(ada).save()


def test_save__inside_atomic(ada: User) -> None:
    """The error ends its block, as any error of a save does; an outer block goes on."""
    change(ada, email="new@example.org")
    with transaction.atomic():
        with pytest.raises(StaleSaveError), transaction.atomic():
            ada.save()
        ada.refresh_from_db(using="default")
        ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_save__that_fails(ada: User) -> None:
    """A failed save keeps the recorded values, so the next save compares them."""
    User.objects.create(username="bob")
    ada.username = "bob"
    with pytest.raises(IntegrityError):
        ada.save()
    change(ada, email="new@example.org")

    with pytest.raises(StaleSaveError):
        ada.save()


def test_save__of_an_expression(kind: Kind) -> None:
    """A field with F() is not compared, because the owner computes it; the other fields are."""
    change(kind, nothing=5)
    kind.nothing = F("nothing") + 1
    kind.save()
    assert Kind.objects.using("default").get().nothing == 6

    kind = Kind.objects.using("replica").get()
    change(kind, text="b")
    kind.nothing = F("nothing") + 1
    with pytest.raises(StaleSaveError, match="changed: text"):
        kind.save()


@pytest.mark.parametrize("field", OTHER)
def test_save__of_each_kind_of_field(kind: Kind, field: str) -> None:
    """A changed value of each type of field is seen, and a value that changed back counts as unchanged."""
    before = getattr(kind, f"{field}_id" if field == "parent" else field)
    change(kind, **{field: OTHER[field]})
    with pytest.raises(StaleSaveError, match=f"changed: {field}\\."):
        kind.save()
    change(kind, **{field: before})
    kind.save()

    loaded = Kind.objects.using("replica").get()
    change(loaded, **{field: OTHER[field]})
    with pytest.raises(StaleSaveError, match=f"changed: {field}\\."):
        loaded.save()


def test_save__of_all_kinds_of_fields(kind: Kind) -> None:
    """A save of an instance that is not stale costs one query, with these values and with others."""
    with assert_queries(default=1):
        kind.save()
    change(kind, **OTHER)
    kind = Kind.objects.using("replica").get()
    with assert_queries(default=1):
        kind.save()


def test_save__of_a_value_changed_in_place(kind: Kind) -> None:
    """The change belongs to the program; a change on the owner is still seen."""
    kind.data["b"] = 1
    kind.save()
    assert Kind.objects.using("default").get().data == {"b": 1}

    kind = Kind.objects.using("replica").get()
    change(kind, data={"c": 1})
    kind.data["d"] = 1
    with pytest.raises(StaleSaveError, match="changed: data"):
        kind.save()


def test_save__of_a_value_that_sql_compares_otherwise(kind: Kind) -> None:
    """A value that SQL does not find again, but that is equal in Python, is not stale."""
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE test_kind SET missing = 'null', data = '{\"b\" :1.0, \"a\":2}'")
    kind = Kind.objects.using("replica").get()
    kind.text = "b"
    kind.save()

    assert Kind.objects.using("default").get().text == "b"


def test_save__of_several_tables() -> None:
    """A change in either table is seen and nothing is written; a save of an unchanged instance goes through."""
    with made("default"):
        Special.objects.create()
        for table, field in ((Kind, "text"), (Special, "extra")):
            special = Special.objects.using("replica").get()
            table.objects.using("default").update(**{field: "b"})
            special.flag = False
            with pytest.raises(StaleSaveError, match=f"Special .* changed: {field}"):
                special.save()
        special = Special.objects.using("replica").get()
        with assert_queries(default=2):
            special.save()

        assert (special.flag, recorded(special)) == (True, {})


def test_save__with_select_on_save(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models with `select_on_save` are compared as well."""
    monkeypatch.setattr(Kind._meta, "select_on_save", True)
    change(kind, text="b")
    with pytest.raises(StaleSaveError):
        kind.save()
    kind = Kind.objects.using("replica").get()
    kind.save()
    Kind.objects.using("default").all().delete()
    kind.save()

    assert Kind.objects.using("default").count() == 1


def test_save__with_a_save_in_its_signal(ada: User) -> None:
    """A receiver of `post_save` may save the same instance again."""

    def again(instance: User, **_signal: Any) -> None:
        post_save.disconnect(again, sender=User)
        instance.save()

    post_save.connect(again, sender=User)
    ada.email = "new@example.org"
    ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_save__of_a_refreshed_file(kind: Kind) -> None:
    """The name of a file is compared, because the file object changes in place."""
    kind.refresh_from_db(using="replica")
    kind.file.name = "c.txt"
    kind.save()
    assert Kind.objects.using("default").get().file == "c.txt"
