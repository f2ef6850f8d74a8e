"""Cases 21 and 22: what Django and packages pass on, a lazy object or the alias of a read, on a real standby."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, OperationalError, connections, transaction
from django.utils.functional import SimpleLazyObject
from pytest_django.plugin import DjangoDbBlocker
from tests.support.related import Article, Comment, Paragraph, Tag, made
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import declared, monitored

from accounts.models import User
from switchyard.routing import StaleSaveError, only
from switchyard.routing.errors import LockOutsideTransactionError, ReplicaLockError, ReplicaWriteError
from switchyard.routing.session.context import activate, task_context

pytestmark = pytest.mark.docker


@pytest.fixture
def related(
    servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Servers]:
    """The servers with the tables of `tests.support.related` on `default`. A test may change keys of SWITCHYARD."""
    servers.clean()
    with (
        django_db_blocker.unblock(),
        declared(servers, tmp_path, servers.environ("migrator"), **getattr(request, "param", {})),
        made("default"),
    ):
        servers.caught_up()
        with monitored(), activate(task_context()):
            yield servers
    servers.caught_up()


@pytest.fixture
def article(related: Servers) -> Any:
    """An article that a task in fresh state has read from the standby, with a related row of each kind."""
    ContentType.objects.clear_cache()
    written = Article.objects.create()
    tag = Tag.objects.create(text="old")
    written.paragraphs.create(text="old")
    written.comments.create(text="old")
    written.tags.add(tag)
    written.labels.add(tag)
    related.caught_up()
    return Article.objects.using("replica").get()


def fresh() -> Any:
    """Begin the state of a task that requires no position."""
    return activate(task_context())


def lock(rows: Any) -> None:
    with transaction.atomic():
        assert [row._state.db for row in rows.select_for_update()] == ["default"]


def standby_row(rows: Any) -> Any:
    return rows.using("replica").get()


WRITES: dict[str, Callable[[Any], object]] = {
    "update": lambda rows: rows.update(text="new"),
    "delete of a filter": lambda rows: rows.filter(text="old").delete(),
    "create": lambda rows: rows.create(text="new"),
    "get_or_create": lambda rows: rows.get_or_create(text="old"),
    "update_or_create": lambda rows: rows.update_or_create(text="old", defaults={"text": "new"}),
    "add": lambda rows: rows.add(standby_row(rows)),
    "remove": lambda rows: rows.remove(standby_row(rows)),
    "set": lambda rows: rows.set([standby_row(rows)]),
    "clear": lambda rows: rows.clear(),
    "select_for_update": lock,
}


@pytest.mark.parametrize("relation", ["comments", "paragraphs", "tags", "labels"])
def test_case_22__djangos_own_managers(relation: str, article: Any) -> None:
    """Each method of the manager of an article from the standby reaches the owner, in fresh state."""
    before = getattr(article, relation).model._default_manager.using("default").get().pk
    for name, write in WRITES.items():
        with transaction.atomic(), fresh():
            write(getattr(article, relation))
            transaction.set_rollback(True)
        assert standby_row(getattr(article, relation)).pk == before, name
    with fresh():
        getattr(article, relation).update(text="new")

    assert getattr(article, relation).using("default").get().text == "new"


def test_case_22__bulk_create_of_a_generic_relation(article: Any) -> None:
    """bulk_create() reaches the owner, and so do content types that the standby lacks."""
    with fresh():
        article.comments.bulk_create([Comment(text="new", subject=article)])
    ContentType.objects.using("default").filter(model="article").delete()
    ContentType.objects.clear_cache()
    with fresh():
        assert Comment(subject=article).content_type == ContentType.objects.using("default").get(model="article")

    assert Comment.objects.using("default").count() == 2


def test_case_22__a_named_replica(article: Any) -> None:
    """A write is refused by default if a program or package names the alias, and the error says what to set."""
    remedy = (
        r"Run it on 'default'.* SWITCHYARD\['PRIMARY_ONLY'\], or set .* SWITCHYARD\['POLICIES'\]\['replica_write'\]"
    )
    with fresh():
        alias = Tag.objects.all().db
        assert alias == "replica"
        with pytest.raises(ReplicaWriteError, match=remedy):
            Tag.objects.using(alias).update(text="new")
        with pytest.raises(ReplicaWriteError, match=remedy):
            Tag(text="new").save(using=alias)
        with (
            pytest.raises(ReplicaLockError, match=r"SWITCHYARD\['PRIMARY_ONLY'\]\.$"),
            transaction.atomic(using=alias),
        ):
            Tag.objects.using(alias).select_for_update().get()


@pytest.mark.parametrize("related", [{"POLICIES": {"replica_write": {"accounts": "redirect"}}}], indirect=True)
def test_case_22__the_policy_redirect(article: Any, related: Servers) -> None:
    """With the policy a write with the alias of a read goes to the owner, and the next reads of the client see it."""
    with related.held_back("replica"), fresh():
        tags = Tag.objects.using(Tag.objects.all().db)
        assert tags.db == "replica"
        tags.update(text="new")
        tags.create(text="more")
        tags.bulk_create([Tag(text="bulk")])

        assert Tag.objects.all().db == "default"
        assert sorted(tag.text for tag in Tag.objects.all()) == ["bulk", "more", "new"]
        with pytest.raises(ReplicaWriteError), transaction.atomic(using="replica"):
            Tag.objects.using("replica").update(text="never")


def claim() -> Any:
    """Take a row as the worker of a queue in a database does."""
    rows = Tag.objects.filter(text="old")
    with transaction.atomic(using=rows.db):
        row = rows.select_for_update(skip_locked=True).first()
        if row is not None:
            row.text = "taken"
            row.save(update_fields=["text"])
    return row


def test_case_22__a_queue(article: Any) -> None:
    """A worker that locks inside `atomic(using=queryset.db)` is refused, and the error names the setting."""
    with fresh(), pytest.raises(LockOutsideTransactionError, match=r"add 'accounts' to SWITCHYARD\['PRIMARY_ONLY'\]"):
        claim()


@pytest.mark.parametrize("related", [{"PRIMARY_ONLY": ["accounts"]}], indirect=True)
def test_case_22__a_queue_in_a_primary_only_app(article: Any) -> None:
    """The worker takes a row once its app is PRIMARY_ONLY."""
    with fresh():
        assert claim().text == "taken"
        assert claim() is None


def test_case_22__stale_save_of_a_package(article: Any, related: Servers) -> None:
    """Code that handles database errors handles a stale save, and may save again after it has loaded the row."""
    with related.held_back("replica"):
        Article.objects.update(text="others")
        with pytest.raises(DatabaseError) as refused:
            article.save()
        assert isinstance(refused.value, StaleSaveError)
        article.refresh_from_db(using="default")
        article.text = "mine"
        article.save()

    assert Article.objects.using("default").get().text == "mine"


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_case_21__request_user(related: Servers, alias: str) -> None:
    """An object as `request.user` is one may be assigned, added and filtered by, from the owner and the standby."""
    User.objects.create(username="ada")
    group = Group.objects.create(name="all")
    related.caught_up()
    user: Any = SimpleLazyObject(lambda: User.objects.using(alias).get())
    with fresh():
        LogEntry.objects.create(user=user, action_flag=1)
        group.user_set.add(user)
        user.groups.set([group])
        Comment.objects.create(text="new", subject=user)

    assert LogEntry.objects.filter(user=user).count() == 1
    assert group.user_set.using("default").get() == user
    assert Comment.objects.using("default").get().object_id == user.pk


def test_only__the_standby_is_stopped(related: Servers) -> None:
    """A check of one alias fails while its server is stopped; without `only()` the owner answers in its place."""

    def server(alias: str) -> Any:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            return cursor.fetchone()[0]

    with only("replica"):
        assert server("replica") is True
    with related.stopped("replica"):
        assert server("replica") is False
        with only("replica"), pytest.raises(OperationalError):
            server("replica")
        with only("replica"):
            assert server("default") is False

    def answers() -> bool:
        with only("replica"):
            try:
                return server("replica") is True
            except OperationalError:
                return False

    until(answers, "the standby answers again")


def test_case_22__paragraphs_in_order(article: Any) -> None:
    """The order of related rows is written on the owner, too."""
    with fresh():
        article.set_paragraph_order([Paragraph.objects.using("replica").get().pk])

    assert article.get_paragraph_order().using("default").count() == 1
