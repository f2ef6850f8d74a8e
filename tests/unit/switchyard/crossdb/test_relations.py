"""A condition over a column of a related row: of one row it is allowed, of several rows it is refused."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import FieldError
from django.db.models import F, FilteredRelation, Q
from tests.support.moments import NOON
from tests.support.related import Article, Paragraph, Tag, made

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
members = User.groups.through.objects


def by_kind(field: str) -> CrossDatabaseIn:
    """Return the condition that a text is the kind of an event."""
    return CrossDatabaseIn(field, AnalyticsEvent.objects.values("kind"))


def by_user(field: str) -> CrossDatabaseIn:
    """Return the condition that a number is the user of an event."""
    return CrossDatabaseIn(field, AnalyticsEvent.objects.values("user_id"))


@pytest.mark.parametrize(
    ("rows", "condition", "shown"),
    [
        (Article.objects, by_kind("paragraphs__text"), "leads to several rows by 'paragraphs': those of "),
        (
            Article.objects,
            by_user("tags"),
            r"of accounts\.Article_tags\. .* CrossDatabaseIn\('pk', Article\.tags\.through\.objects\.",
        ),
        (Tag.objects, by_user("articles"), r"CrossDatabaseIn\('pk', Article\.tags\.through\.objects\."),
        (Article.objects, by_user("labels"), r"CrossDatabaseIn\('pk', Label\.objects\."),
        (Article.objects, by_kind("labelled__text"), "Cannot resolve keyword 'labelled'"),
        (Article.objects, by_kind("labels__text"), r"those of accounts\.Label\. "),
        (Article.objects, by_kind("comments__text"), r"those of accounts\.Comment\. "),
        (Article.objects, ~Q(by_user("paragraphs")), r"those of accounts\.Paragraph\. "),
        (Paragraph.objects, by_kind("article__tags__text"), r"by 'tags': .* CrossDatabaseIn\('article__pk', "),
        (
            Article.objects.alias(first=FilteredRelation("paragraphs", condition=Q(paragraphs__text="a"))),
            by_kind("first__text"),
            r"those of accounts\.Paragraph\. ",
        ),
        (
            Article.objects,
            CrossDatabaseIn("tags__text", AnalyticsEvent.objects.values("kind"), collation="NOCASE"),
            "by 'tags'",
        ),
    ],
    ids=[
        "reverse foreign key",
        "many to many",
        "many to many from the other side",
        "many to many with a model",
        "unknown",
        "many to many through a model",
        "generic",
        "not",
        "after a foreign key",
        "filtered",
        "collated",
    ],
)
def test_condition__several_rows(rows: Any, condition: Any, shown: str) -> None:
    """A FieldError names the relation, the model of its rows and what to write, before any query."""
    with pytest.raises(FieldError, match=shown):
        rows.filter(condition)


def test_condition__message_of_several_rows() -> None:
    """The error says which rows to filter, and how the outer query takes their keys."""
    with pytest.raises(FieldError) as raised:
        Article.objects.exclude(by_kind("paragraphs__text"))

    assert str(raised.value) == (
        "CrossDatabaseIn('paragraphs__text', ...) leads to several rows by 'paragraphs': those of accounts.Paragraph."
        " Filter these rows, and the outer query by the keys that they refer to:"
        " CrossDatabaseIn('pk', Paragraph.objects.filter(CrossDatabaseIn(...)).values(...))."
    )


@databases
def test_condition__remedy_for_several_rows() -> None:
    """The remedy gives the rows of Django's own filter over a list of keys, and of its exclude."""
    ada, bob = (User.objects.create(pk=key, username=name) for key, name in ((1, "ada"), (2, "bob")))
    both, one, _none = (Group.objects.create(pk=key, name=str(key)) for key in (1, 2, 3))
    both.user_set.add(ada, bob)
    one.user_set.add(bob)
    AnalyticsEvent.objects.create(user_id=1, kind="", at=NOON)
    of_seen = CrossDatabaseIn("pk", members.filter(by_user("user_id")).values("group_id"))

    assert set(Group.objects.filter(of_seen)) == set(Group.objects.filter(user__in=[1])) == {both}
    assert set(Group.objects.exclude(of_seen)) == set(Group.objects.exclude(user__in=[1]))


@databases
def test_condition__one_row() -> None:
    """A column over a foreign key is compared, and a row without a related row does not match."""
    AnalyticsEvent.objects.create(user_id=1, kind="news", at=NOON)
    with made("default"):
        articles = [Article.objects.create(text=text) for text in ("news", "views")]
        first, second, third = (Paragraph.objects.create(article=each) for each in (*articles, None))
        found = by_kind("article__text")

        assert list(Paragraph.objects.filter(found)) == [first]
        assert set(Paragraph.objects.exclude(found)) == {second, third}


@databases
def test_condition__annotation_of_several_rows() -> None:
    """A program may name the rows by an annotation, which gives a row for each of them as Django's filter does."""
    AnalyticsEvent.objects.create(user_id=1, kind="a", at=NOON)
    with made("default"):
        article = Article.objects.create()
        for text in "aab":
            Paragraph.objects.create(article=article, text=text)
        rows = Article.objects.annotate(paragraphs_text=F("paragraphs__text"))

        assert list(rows.filter(by_kind("paragraphs_text"))) == list(rows.filter(paragraphs_text__in=["a"]))
        assert len(rows.exclude(by_kind("paragraphs_text"))) == 1
