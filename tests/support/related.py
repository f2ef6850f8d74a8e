"""Models with a relation of each kind: reverse foreign keys, many-to-many with and without a model, and generic ones.

The models are in no registry of an app, so they have tables only inside `made()`.
"""

from contextlib import AbstractContextManager

from django.apps.registry import Apps
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from tests.support.scratch_tables import scratch_tables

_apps = Apps(["accounts"])  # with the app, so that a deletion finds the related models


class Comment(models.Model):
    """A row that a generic key relates to a row of any model."""

    text = models.CharField(max_length=20)
    content_type = models.ForeignKey(ContentType, models.CASCADE, related_name="+", db_constraint=False)
    object_id = models.BigIntegerField()
    subject = GenericForeignKey()

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_comment"

    def __str__(self) -> str:
        return self.text


class Tag(models.Model):
    """The other side of the many-to-many relations."""

    text = models.CharField(max_length=20)

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_tag"

    def __str__(self) -> str:
        return self.text


class Article(models.Model):
    """The row whose relations are written."""

    text = models.CharField(max_length=20, default="news")
    comments = GenericRelation(Comment)
    tags = models.ManyToManyField(Tag, related_name="articles")
    labels = models.ManyToManyField(Tag, through="Label", related_name="labelled")

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_article"

    def __str__(self) -> str:
        return self.text


class Review(Article):
    """A second table for some of the articles."""

    stars = models.IntegerField(default=5)

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_review"


class Paragraph(models.Model):
    """A row with a foreign key that may be empty, in an order of its own."""

    text = models.CharField(max_length=20)
    article = models.ForeignKey(Article, models.CASCADE, null=True, related_name="paragraphs")

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_paragraph"
        order_with_respect_to = "article"

    def __str__(self) -> str:
        return self.text


class Label(models.Model):
    """The model between articles and their labels."""

    article = models.ForeignKey(Article, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)
    text = models.CharField(max_length=20, default="")

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_label"

    def __str__(self) -> str:
        return self.text


_MODELS = (Comment, Tag, Article, Review, Paragraph, Label)


def made(alias: str) -> AbstractContextManager[None]:
    """Create the tables of the models on the alias for this block."""
    return scratch_tables(alias, _MODELS)
