"""Models that refer to rows of another database, and their parents.

The models are in no registry of an app, so they have tables only inside `made()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps.registry import Apps
from django.db import models
from tests.support.scratch_tables import scratch_tables

from switchyard.crossdb import CrossDatabaseForeignKey

_apps = Apps(["accounts", "analytics"])  # with the apps, so that a deletion finds the related models


class Authors(models.Manager["Author"]):
    """Finds authors by their names."""

    def get_by_natural_key(self, name: str) -> "Author":
        """Return the author of the name."""
        return self.get(name=name)


class Author(models.Model):
    """A parent on `default`, which fixtures name by its name."""

    name = models.CharField(max_length=20, unique=True)

    objects = Authors()

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_author"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        """Return the name."""
        return (self.name,)


class Book(models.Model):
    """A child on `analytics` with two references to one parent."""

    title = models.CharField(max_length=20, default="")
    author = CrossDatabaseForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    editor = CrossDatabaseForeignKey(
        Author,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="edited",
        related_query_name="edited_book",
    )

    class Meta:
        apps = _apps
        app_label = "analytics"
        db_table = "test_book"

    def __str__(self) -> str:
        return self.title


class Page(models.Model):
    """A row with a foreign key of Django to a child."""

    book = models.ForeignKey(Book, models.CASCADE, related_name="pages")

    class Meta:
        apps = _apps
        app_label = "analytics"
        db_table = "test_page"

    def __str__(self) -> str:
        return f"page {self.pk}"


@contextmanager
def made() -> Iterator[None]:
    """Create the tables of the models on their owners for this block."""
    with scratch_tables("default", (Author,)), scratch_tables("analytics", (Book, Page)):
        yield


def stored(**books: tuple[str, str | None]) -> dict[str, Any]:
    """Store books with the names of their authors and editors, and return all rows by their names."""
    names = dict.fromkeys(name for pair in books.values() for name in pair if name)
    rows: dict[str, Any] = {name: Author.objects.create(name=name) for name in names}
    for title, (author, editor) in books.items():
        rows[title] = Book.objects.create(title=title, author=rows[author], editor=rows[editor] if editor else None)
    return rows
