"""Full saves of what a replica gave, on real SQLite connections. A replica that lags is in the integration tests."""

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
    """A user as the replica gave it."""
    User.objects.create(username="ada", email="old@example.org")
    return User.objects.using("replica").get()


@pytest.fixture
def kind() -> Iterator[Kind]:
    """A row with a field of each kind, as the replica gave it."""
    with made("default"):
        Kind.objects.create()
        yield Kind.objects.using("replica").get()


def change(instance: Model, **values: Any) -> None:
    """Change the row on the owner behind the instance's back."""
    type(instance)._base_manager.using("default").filter(pk=instance.pk).update(**values)


def kept(instance: Model) -> dict[str, Any]:
    """Return what is kept of the replica's values."""
    return stale_saves._read(instance)


def policy(**stale_save: Any) -> override_settings:
    """Set the policy in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": stale_save})


def test_save__of_a_stale_instance(ada: User) -> None:
    """It is refused: model, key, the fields that differ, and what to do; nothing is written."""
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
    """It costs the UPDATE alone, and the instance is the owner's afterwards."""
    ada.email = "new@example.org"
    with assert_queries(default=1):
        ada.save()

    assert (ada._state.db, kept(ada)) == ("default", {})
    assert User.objects.using("default").get().email == "new@example.org"


def test_save__again(ada: User) -> None:
    """After the first one nothing is compared: the instance has the owner's values."""
    ada.save()
    change(ada, email="new@example.org")
    ada.save()

    assert User.objects.using("default").get().email == "old@example.org"


def test_save__after_the_row_was_deleted(ada: User) -> None:
    """It is refused; the row does not come back."""
    User.objects.using("default").all().delete()

    with pytest.raises(StaleSaveError, match="the row was deleted"):
        ada.save()
    assert not User.objects.using("default").exists()


def test_save__of_some_fields(ada: User) -> None:
    """The named fields are written without a look at others, which a full save still looks at."""
    change(ada, email="new@example.org")
    ada.first_name = "Ada"
    ada.save(update_fields=["first_name"])
    assert User.objects.using("default").get().first_name == "Ada"

    with pytest.raises(StaleSaveError, match="changed: email"):
        ada.save()


def test_save__of_an_instance_from_the_owner() -> None:
    """The last one wins, as Django has it."""
    User.objects.create(username="ada")
    ada = User.objects.using("default").get()
    change(ada, email="new@example.org")
    ada.save()

    assert User.objects.using("default").get().email == ""


def test_save__where_the_policy_warns(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    """It says so and goes on; a deleted row comes back."""
    change(ada, email="new@example.org")
    with policy(stale_save="warn"):
        ada.save()
        assert User.objects.using("default").get().email == "old@example.org"

        ada = User.objects.using("replica").get()
        User.objects.using("default").all().delete()
        ada.save()

    assert User.objects.using("default").get() == ada
    assert [("changed: email" in text, "deleted" in text) for text in caplog.messages] == [(True, False), (False, True)]


def test_save__where_the_policy_allows(ada: User) -> None:
    """Nothing is kept, by model label or for all, and the save is one query without a condition."""
    for value in ("allow", {"accounts.User": "allow"}, {"*": "allow"}):
        with policy(stale_save=value):
            ada = User.objects.using("replica").get()
            assert kept(ada) == {}
            change(ada, email="new@example.org")
            with assert_queries(default=1):
                ada.save()


def test_refresh__from_the_owner(ada: User) -> None:
    """The instance is the owner's, and nothing is kept."""
    change(ada, email="new@example.org")
    ada.refresh_from_db(using="default")
    change(ada, email="newer@example.org")
    ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_refresh__from_the_replica(ada: User) -> None:
    """What is kept is what was read last, also for an instance that was the owner's before."""
    change(ada, email="new@example.org")
    ada.refresh_from_db(using="replica")
    ada.save()
    ada.refresh_from_db(using="replica")
    change(ada, email="newer@example.org")

    with pytest.raises(StaleSaveError, match="changed: email"):
        ada.save()


def test_refresh__of_some_fields_from_the_owner(ada: User) -> None:
    """These are not compared any more, the others are."""
    ada.refresh_from_db(using="default", fields=["email"])
    change(ada, email="new@example.org")
    assert "email" not in kept(ada)

    change(ada, last_name="Lovelace")
    with pytest.raises(StaleSaveError, match="changed: last_name"):
        ada.save()


def test_refresh__of_what_was_prefetched() -> None:
    """It changes nothing, also where nothing is kept."""
    User.objects.create(username="ada")
    with policy(stale_save="allow"):
        ada = User.objects.using("replica").prefetch_related("groups").get()
    ada.refresh_from_db(fields=["groups"])

    assert kept(ada) == {}


def test_save__with_deferred_fields() -> None:
    """What was not loaded is not compared; once loaded from a replica it is."""
    User.objects.create(username="ada")
    ada = User.objects.using("replica").only("username").get()
    assert kept(ada).keys() == {"id", "username"}

    assert ada.email == ""
    assert kept(ada).keys() == {"id", "username", "email"}


def test_save__of_a_new_row_from_a_copy(ada: User) -> None:
    """Without its key, or under another one, an instance is another row."""
    change(ada, email="new@example.org")
    other = copy.copy(ada)
    other.pk, other.username = None, "bob"
    other._state.adding = True
    other.save()
    third = copy.copy(ada)
    third.pk, third.username = other.pk + 1, "eve"
    third.save()

    assert sorted(User.objects.using("default").values_list("username", flat=True)) == ["ada", "bob", "eve"]
    assert (kept(other), kept(third)) == ({}, {})


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda ada: pickle.loads(pickle.dumps(ada))])
def test_save__of_a_copy(ada: User, copied: Any) -> None:
    """A copied or pickled instance is as stale as the one it was made from."""
    change(ada, email="new@example.org")

    with pytest.raises(StaleSaveError):
        copied(ada).save()


def test_save__inside_atomic(ada: User) -> None:
    """As any error of a save it ends the block; in a block of its own the outer one goes on."""
    change(ada, email="new@example.org")
    with transaction.atomic():
        with pytest.raises(StaleSaveError), transaction.atomic():
            ada.save()
        ada.refresh_from_db(using="default")
        ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_save__that_fails(ada: User) -> None:
    """It leaves the guard as it was."""
    User.objects.create(username="bob")
    ada.username = "bob"
    with pytest.raises(IntegrityError):
        ada.save()
    change(ada, email="new@example.org")

    with pytest.raises(StaleSaveError):
        ada.save()


def test_save__of_an_expression(kind: Kind) -> None:
    """F() is computed from the owner's newest row and not compared; the other fields are."""
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
    """A changed value is seen, whatever the field's type, and its change back is none."""
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
    """Not stale, they cost no query, with these values and with others."""
    with assert_queries(default=1):
        kind.save()
    change(kind, **OTHER)
    kind = Kind.objects.using("replica").get()
    with assert_queries(default=1):
        kind.save()


def test_save__of_a_value_changed_in_place(kind: Kind) -> None:
    """The change is the program's own; one on the owner is still seen."""
    kind.data["b"] = 1
    kind.save()
    assert Kind.objects.using("default").get().data == {"b": 1}

    kind = Kind.objects.using("replica").get()
    change(kind, data={"c": 1})
    kind.data["d"] = 1
    with pytest.raises(StaleSaveError, match="changed: data"):
        kind.save()


def test_save__of_what_sql_compares_otherwise(kind: Kind) -> None:
    """A value that SQL does not find again but Python takes for the same is not stale."""
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE test_kind SET missing = 'null', data = '{\"b\" :1.0, \"a\":2}'")
    kind = Kind.objects.using("replica").get()
    kind.text = "b"
    kind.save()

    assert Kind.objects.using("default").get().text == "b"


def test_save__of_several_tables() -> None:
    """A change in either table is seen, nothing of it is written, and a save without one goes through."""
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

        assert (special.flag, kept(special)) == (True, {})


def test_save__with_select_on_save(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that look before they write are guarded, too."""
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
    """A receiver of post_save may save the same instance again."""

    def again(instance: User, **_signal: Any) -> None:
        post_save.disconnect(again, sender=User)
        instance.save()

    post_save.connect(again, sender=User)
    ada.email = "new@example.org"
    ada.save()

    assert User.objects.using("default").get().email == "new@example.org"


def test_save__of_a_refreshed_file(kind: Kind) -> None:
    """A file's name is compared, not the object, which changes in place."""
    kind.refresh_from_db(using="replica")
    kind.file.name = "c.txt"
    kind.save()
    assert Kind.objects.using("default").get().file == "c.txt"
