"""django-import-export: rows that are updated from the standby's copy, and new rows."""

import tablib
from import_export.resources import ModelResource

from project.shop.models import Item


class ItemResource(ModelResource):
    class Meta:
        model = Item
        fields = ("id", "name")
        use_bulk = False


class BulkItemResource(ItemResource):
    class Meta(ItemResource.Meta):
        use_bulk = True


def imported(resource: ModelResource, *rows: tuple[int | str, str], **options: bool) -> dict[str, int]:
    """Import the rows, and return how many were new, changed and in error."""
    result = resource.import_data(tablib.Dataset(*rows, headers=["id", "name"]), raise_errors=True, **options)
    return {kind: count for kind, count in result.totals.items() if count}


def test_import__of_rows_that_the_replica_shows(others, replay_paused):
    """An import changes and adds rows on the owner, and an export shows them at once."""
    with others():
        old = Item.objects.create(name="imported before")
    with replay_paused():
        totals = imported(ItemResource(), (old.pk, "imported again"), ("", "imported new"), use_transactions=True)
        exported = ItemResource().export(Item.objects.filter(name__startswith="imported")).dict

        assert totals == {"new": 1, "update": 1}
        assert sorted(row["name"] for row in exported) == ["imported again", "imported new"]


def test_import__in_bulk_and_without_transaction(others, replay_paused):
    """An import in bulk writes on the owner."""
    with others():
        old = Item.objects.create(name="in bulk before")
    with replay_paused():
        totals = imported(BulkItemResource(), (old.pk, "in bulk again"), ("", "in bulk new"), use_transactions=False)

        assert totals == {"new": 1, "update": 1}
        assert Item.objects.filter(name__in=["in bulk again", "in bulk new"]).count() == 2


def test_import__tried_first(others, replay_paused):
    """A dry run writes nothing."""
    with replay_paused():
        imported(ItemResource(), ("", "tried"), dry_run=True)

        assert not Item.objects.using("default").filter(name="tried").exists()
