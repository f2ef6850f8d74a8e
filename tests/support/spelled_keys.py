"""Parents with text keys on `default`, and children on `analytics`, whose column takes keys of any case for equal."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps.registry import Apps
from django.db import connections, models
from tests.support.scratch_tables import scratch_tables

from switchyard.crossdb import CrossDatabaseForeignKey
from switchyard.crossdb.references.registry import Reference


class Label(models.Model):
    """A parent."""

    code = models.CharField(max_length=20, primary_key=True)

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_label"

    def __str__(self) -> str:
        return self.code


class Sticker(models.Model):
    """A child, which loses its label with the parent."""

    label = CrossDatabaseForeignKey(Label, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        apps = Label._meta.apps
        app_label = "analytics"
        db_table = "test_sticker"

    def __str__(self) -> str:
        return str(self.label_id)


STICKERS = Reference(Sticker._meta.get_field("label"))


@contextmanager
def tables(*, parents: str = "binary", children: str = "nocase") -> Iterator[None]:
    """Make the tables in this block, on SQLite; the columns of the keys have these collations."""
    with scratch_tables("default", (Label,)), scratch_tables("analytics", (Sticker,)):
        with connections["default"].cursor() as cursor:
            cursor.execute("DROP TABLE test_label")
            cursor.execute(f"CREATE TABLE test_label (code varchar(20) COLLATE {parents} PRIMARY KEY)")
        with connections["analytics"].cursor() as cursor:
            cursor.execute("DROP TABLE test_sticker")
            cursor.execute(
                "CREATE TABLE test_sticker"
                f" (id integer PRIMARY KEY AUTOINCREMENT, label_id varchar(20) COLLATE {children} NULL)"
            )
        yield


def stick(*codes: str | None) -> None:
    """Make a child for each code."""
    Sticker.objects.using("analytics").bulk_create([Sticker(label_id=code) for code in codes])


def stuck() -> list[str | None]:
    """Return the codes of all children, in the order of their keys."""
    return list(Sticker.objects.using("analytics").order_by("id").values_list("label_id", flat=True))
