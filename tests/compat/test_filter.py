"""django-filter: a filter set over a queryset."""

import django_filters

from project.shop.models import Item


class ItemFilter(django_filters.FilterSet):
    class Meta:
        model = Item
        fields = {"name": ["exact", "startswith"]}


def test_filter__reads_a_replica(replay_paused):
    """A filter set reads the standby, and its own rows after a write."""
    Item.objects.create(name="filtered 1")
    with replay_paused():
        before = ItemFilter({"name__startswith": "filtered"}).qs
        aliases = {item._state.db for item in before}
        Item.objects.create(name="filtered 2")
        after = [item.name for item in ItemFilter({"name__startswith": "filtered"}).qs]

    assert aliases == {"replica"}
    assert sorted(after) == ["filtered 1", "filtered 2"]
