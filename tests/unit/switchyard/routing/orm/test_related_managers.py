"""Relations of an instance from a replica: Django's own managers write to the owner, by each of their methods."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, prefetch_related_objects
from django.template import Context, Engine
from django.utils.functional import SimpleLazyObject
from tests.support.related import Article, Comment, Paragraph, Review, Tag, made

from accounts.models import User
from switchyard.routing.errors import ReplicaWriteError
from switchyard.testing import assert_queries, replica_lag

pytestmark = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """Make the tables of the models, and forget the content types that earlier tests left in memory."""
    ContentType.objects.clear_cache()
    with made("default"):
        yield
    ContentType.objects.clear_cache()


@pytest.fixture(params=[Article])
def article(request: pytest.FixtureRequest) -> Any:
    """Return an article with related rows that was read from the replica; a test may name another model for it."""
    written = request.param.objects.create()
    tag = Tag.objects.create(text="old")
    written.paragraphs.create(text="old")
    written.comments.create(text="old")
    written.tags.add(tag)
    written.labels.add(tag)
    return request.param.objects.using("replica").get()


def from_replica(manager: Any) -> Any:
    """Return the related row, read from the replica."""
    row = manager.using("replica").get()
    assert row._state.db == "replica"
    return row


def lock(manager: Any) -> None:
    with transaction.atomic():
        assert [row._state.db for row in manager.select_for_update()] == ["default"]


def bulk_update(manager: Any) -> None:
    row = from_replica(manager)
    row.text = "new"
    manager.bulk_update([row], ["text"])


# The method, and the texts of the rows that are related or exist afterwards.
WRITES: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "update": (lambda rows: rows.update(text="new"), ["new"]),
    "update of a filter": (lambda rows: rows.filter(text="old").update(text="new"), ["new"]),
    "update of all": (lambda rows: rows.all().update(text="new"), ["new"]),
    "delete": (lambda rows: rows.all().delete(), []),
    "delete of a filter": (lambda rows: rows.filter(text="old").delete(), []),
    "delete of an exclusion": (lambda rows: rows.exclude(text="new").delete(), []),
    "create": (lambda rows: rows.create(text="new"), ["new", "old"]),
    "get_or_create": (lambda rows: rows.get_or_create(text="new"), ["new", "old"]),
    "get_or_create that finds": (lambda rows: rows.get_or_create(text="old"), ["old"]),
    "update_or_create": (lambda rows: rows.update_or_create(text="old", defaults={"text": "new"}), ["new"]),
    "bulk_update": (bulk_update, ["new"]),
    "select_for_update": (lock, ["old"]),
    "add": (lambda rows: rows.add(from_replica(rows)), ["old"]),
    "remove": (lambda rows: rows.remove(from_replica(rows)), []),
    "clear": (lambda rows: rows.clear(), []),
    "set": (lambda rows: rows.set([from_replica(rows)]), ["old"]),
    "set after clear": (lambda rows: rows.set([from_replica(rows)], clear=True), ["old"]),
    "set to nothing": (lambda rows: rows.set([]), []),
    "save of a row": (lambda rows: rows.get().save(), ["old"]),
    "delete of a row": (lambda rows: rows.get().delete(), []),
    "update by another manager": (lambda rows: rows(manager="objects").update(text="new"), ["new"]),
}


@pytest.mark.parametrize("relation", ["comments", "paragraphs", "tags", "labels"])
@pytest.mark.parametrize("write", WRITES)
def test_related_manager__writes(relation: str, write: str, article: Any) -> None:
    """The write reaches the owner, although the router reads the relation from the replica."""
    method, expected = WRITES[write]
    rows = getattr(article, relation)
    assert rows.all().db == "replica"
    if (relation, write) == ("comments", "set after clear"):
        expected = []  # Django deletes the rows of a generic relation, and so it does on one database

    method(rows)

    after = type(article).objects.using("default").get()
    assert sorted(getattr(after, relation).values_list("text", flat=True)) == expected


@pytest.mark.parametrize("article", [Review], indirect=True)
@pytest.mark.parametrize("relation", ["comments", "paragraphs", "tags", "labels"])
def test_related_manager__of_a_child_with_its_own_table(relation: str, article: Any) -> None:
    """Relations of a row that spans two tables are written on the owner, too."""
    rows = getattr(article, relation)
    rows.update(text="new")
    rows.add(from_replica(rows))
    rows.filter(text="new").delete()

    assert not getattr(Review.objects.using("default").get(), relation).exists()


def test_related_manager__bulk_create(article: Any) -> None:
    """bulk_create() writes to the owner."""
    (comment,) = article.comments.bulk_create([Comment(text="new", subject=article)])
    (paragraph,) = article.paragraphs.bulk_create([Paragraph(text="new", article=article, _order=1)])

    assert (comment._state.db, paragraph._state.db) == ("default", "default")
    assert (article.comments.count(), article.paragraphs.count()) == (2, 2)


@pytest.mark.parametrize("relation", ["comments", "paragraphs", "tags", "labels"])
def test_related_manager__after_a_prefetch(relation: str, article: Any) -> None:
    """The related rows that were read ahead come from the replica, and a write still reaches the owner."""
    prefetch_related_objects([article], relation)
    with assert_queries():
        assert [row._state.db for row in getattr(article, relation).all()] == ["replica"]
    getattr(article, relation).update(text="new")

    assert [row.text for row in getattr(type(article).objects.using("default").get(), relation).all()] == ["new"]


@pytest.mark.parametrize("relation", ["comments", "paragraphs"])
def test_related_manager__add_a_new_row(relation: str, article: Any) -> None:
    """add(bulk=False) saves a new row on the owner; a row that was never saved is still refused with bulk."""
    model = {"comments": Comment, "paragraphs": Paragraph}[relation]
    getattr(article, relation).add(model(text="new"), bulk=False)
    with pytest.raises(ValueError, match="isn't saved"):
        getattr(article, relation).add(model(text="third"))

    assert sorted(row.text for row in model._default_manager.using("default").all()) == ["new", "old"]


@pytest.mark.parametrize("relation", ["comments", "paragraphs"])
def test_related_manager__row_that_was_added(relation: str, article: Any) -> None:
    """The added row stays one of the replica; saving it undoes nothing, and is not refused for the new relation."""
    other = type(article).objects.create()
    row = from_replica(getattr(article, relation))
    getattr(other, relation).add(row)
    assert row._state.db == "replica"
    row.text = "new"
    row.save()

    assert [each.text for each in getattr(other, relation).using("default")] == ["new"]


def test_related_manager__named_alias(article: Any) -> None:
    """A write is refused if the program itself names the replica."""
    named: list[Callable[[], object]] = [
        lambda: article.comments.using("replica").update(text="new"),
        lambda: article.comments.db_manager("replica").update(text="new"),
        lambda: article.paragraphs.using("replica").update(text="new"),
    ]
    for write in named:
        with pytest.raises(ReplicaWriteError):
            write()


def test_related_manager__reads(article: Any) -> None:
    """A generic relation is read from the replica without another query, and from the owner if the instance is."""
    article.comments.count()
    with assert_queries(replica=1):
        assert [row._state.db for row in article.comments.all()] == ["replica"]
    on_owner = type(article).objects.using("default").get()
    with assert_queries(default=1):
        assert [row._state.db for row in on_owner.comments.all()] == ["default"]


@pytest.mark.parametrize("relation", ["comments", "paragraphs"])
def test_related_manager__in_a_template(relation: str, article: Any) -> None:
    """No template calls a method that changes rows."""
    template = Engine().from_string(f"{{{{ article.{relation}.add }}}}{{{{ article.{relation}.clear }}}}")

    assert template.render(Context({"article": article})) == ""
    assert getattr(article, relation).count() == 1


USES: dict[str, Callable[[Any], object]] = {
    "a generic relation": lambda article: article.comments.count(),
    "a generic key that is set": lambda article: Comment(text="new", subject=article),
}


@pytest.mark.parametrize("use", USES)
def test_content_type__of_an_instance_from_a_replica(use: str, article: Any) -> None:
    """The content type is read from its owner, and made there if it is missing."""
    kinds = ContentType.objects.using("default").filter(model=article._meta.model_name)
    kinds.delete()
    ContentType.objects.clear_cache()

    USES[use](article)

    assert kinds.get() == ContentType.objects.get_for_model(article)
    ContentType.objects.clear_cache()
    with assert_queries(default=1):
        ContentType.objects.db_manager("replica").get_for_model(article)


def test_content_type__named_queryset() -> None:
    """A queryset of content types still reads the replica that a program names."""
    with assert_queries(replica=1):
        ContentType.objects.using("replica").first()


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_generic_key__of_a_row(alias: str) -> None:
    """The subject of a row from the owner is read there; that of a row from a replica where the router reads it."""
    user = User.objects.create(username="ada")
    Comment.objects.create(text="old", subject=user)
    comment = Comment.objects.using(alias).get()
    with replica_lag() as lag:
        assert comment.subject._state.db == alias
        lag.pause()
        User.objects.update(first_name="Ada")
        comment.refresh_from_db(using=alias)

        assert (comment.subject._state.db, comment.subject.first_name) == ("default", "Ada")


def lazy(model: type[Model], alias: str) -> Any:
    """Return a row as `request.user` is one: an object that reads the row when it is first used."""
    return SimpleLazyObject(lambda: model._default_manager.using(alias).get())


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_lazy_object__as_a_related_row(alias: str) -> None:
    """A lazy row may be assigned, created with, filtered by, added and set, as its row may be."""
    User.objects.create(username="ada")
    group = Group.objects.create(name="all")

    LogEntry.objects.create(user=lazy(User, alias), action_flag=1)
    LogEntry(user=lazy(User, alias), action_flag=1).save()
    assert LogEntry.objects.filter(user=lazy(User, alias)).count() == 2
    group.user_set.add(lazy(User, alias))
    group.user_set.set([lazy(User, alias)])
    lazy(User, alias).groups.add(lazy(Group, alias))
    assert lazy(Group, alias).user_set.get().username == "ada"
    Comment.objects.create(text="old", subject=lazy(User, alias))
    assert Comment.objects.get().object_id == User.objects.get().pk


def test_lazy_object__in_methods_of_its_class() -> None:
    """A lazy row may be passed to the methods of its class."""
    User.objects.create(username="ada")
    ada = lazy(User, "replica")
    User.refresh_from_db(ada)
    ada.first_name = "Ada"
    User.save(ada)

    assert User.objects.using("default").get().first_name == "Ada"


def test_lazy_object__added_by_a_foreign_key(article: Any) -> None:
    """A lazy row from the replica may be added, as its row may be."""
    other = type(article).objects.create()
    other.paragraphs.add(lazy(Paragraph, "replica"))
    other.comments.add(lazy(Comment, "replica"))

    assert (other.paragraphs.count(), other.comments.count()) == (1, 1)
