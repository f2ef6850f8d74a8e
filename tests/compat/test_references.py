"""References across databases in serializers and filters of other packages: relations like foreign keys."""

from io import StringIO
from typing import Any

import django_filters
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from import_export.resources import ModelResource
from rest_framework import serializers, viewsets
from rest_framework.test import APIRequestFactory, force_authenticate

from project.counted.models import Note
from project.shop.models import Item
from switchyard.routing import use_primary


class NoteSerializer(serializers.ModelSerializer):
    class Meta:
        model = Note
        fields = ["id", "text", "item", "copied_from"]


class DeepSerializer(serializers.ModelSerializer):
    class Meta:
        model = Note
        fields = ["text", "item"]
        depth = 1


class NamesSerializer(serializers.ModelSerializer):
    item = serializers.StringRelatedField()
    name = serializers.CharField(source="item.name")

    class Meta:
        model = Note
        fields = ["item", "name"]


class ItemSerializer(serializers.ModelSerializer):
    notes = NoteSerializer(many=True)

    class Meta:
        model = Item
        fields = ["name", "notes"]


class NoteViewSet(viewsets.ModelViewSet):
    queryset = Note.objects.order_by("id")
    serializer_class = NoteSerializer
    filterset_fields = ["item", "copied_from"]


@pytest.fixture
def items(request: pytest.FixtureRequest) -> list[Item]:
    """Two items, of which the first has two notes."""
    items = [Item.objects.create(name=f"{request.node.name[:80]} {number}") for number in (1, 2)]
    Note.objects.bulk_create([Note(text=text, item=items[0]) for text in ("first", "second")])
    return items


def answered(method: str, actions: dict[str, str], data: Any = None, **kwargs: Any) -> Any:
    """Return the response of the view to a superuser."""
    request = getattr(APIRequestFactory(), method)("/", data, format="json" if method != "get" else None)
    user, _ = User.objects.get_or_create(username="references", is_superuser=True, is_active=True)
    force_authenticate(request, user)
    with use_primary():
        return NoteViewSet.as_view(actions)(request, **kwargs).render()


def queries(run: Any) -> tuple[Any, int]:
    """Return the result, and the number of queries on the alias of items."""
    with use_primary(), CaptureQueriesContext(connections["default"]) as seen:
        return run(), len(seen)


def test_serializer__keys(items):
    """The serializer of the model has a field of keys, which reads no parent to show them."""
    fields = NoteSerializer().fields
    found, sent = queries(lambda: NoteSerializer(items[0].notes.order_by("id"), many=True).data)

    assert isinstance(fields["item"], serializers.PrimaryKeyRelatedField)
    assert fields["copied_from"].allow_null
    assert [(each["text"], each["item"], each["copied_from"]) for each in found] == [
        ("first", items[0].pk, None),
        ("second", items[0].pk, None),
    ]
    assert sent == 0


def test_serializer__validates_the_key(items):
    """A key without a parent is refused, and a valid one is stored."""
    with use_primary():
        wrong = NoteSerializer(data={"text": "new", "item": 2**40})
        right = NoteSerializer(data={"text": "new", "item": items[1].pk, "copied_from": items[0].pk})

        assert not wrong.is_valid()
        assert [error.code for error in wrong.errors["item"]] == ["does_not_exist"]
        assert right.is_valid(), right.errors
        assert right.save().item == items[1]


@pytest.mark.parametrize("serializer", [DeepSerializer, NamesSerializer])
def test_serializer__nested(serializer, items):
    """Nested parents are read together with a prefetch, and not one by one."""
    notes = Note.objects.filter(item=items[0]).order_by("id").prefetch_related("item")
    found, sent = queries(lambda: serializer(notes, many=True).data)

    assert [str(each["item"]["name"] if isinstance(each["item"], dict) else each["name"]) for each in found] == [
        items[0].name
    ] * 2
    assert sent == 1


def test_serializer__of_the_parent(items):
    """The children of a page of parents come by one query."""
    with use_primary(), CaptureQueriesContext(connections["counted"]) as seen:
        rows = Item.objects.filter(pk__in=[item.pk for item in items]).order_by("pk").prefetch_related("notes")
        found = ItemSerializer(rows, many=True).data

    assert [len(each["notes"]) for each in found] == [2, 0]
    assert len(seen) == 1


def test_view__filters_and_writes(items):
    """A view filters by the reference, offers it in its browsable form, and changes it."""
    listed = answered("get", {"get": "list"}, {"item": items[0].pk})
    none = answered("get", {"get": "list"}, {"copied_from": items[1].pk})
    unknown = answered("get", {"get": "list"}, {"item": 2**40})
    created = answered("post", {"post": "create"}, {"text": "new", "item": items[1].pk})
    key = created.data["id"]
    changed = answered("patch", {"patch": "partial_update"}, {"item": items[0].pk}, pk=key)

    assert [each["text"] for each in listed.data] == ["first", "second"]
    assert none.data == []
    assert (unknown.status_code, created.status_code, changed.status_code) == (400, 201, 200)
    assert Note.objects.get(pk=key).item_id == items[0].pk


def test_view__browsable_form(items):
    """The page for people has a choice of parents, read from their own database."""
    user, _ = User.objects.get_or_create(username="references", is_superuser=True, is_active=True)
    request = APIRequestFactory().get("/", HTTP_ACCEPT="text/html")
    force_authenticate(request, user)
    with use_primary():
        page = NoteViewSet.as_view({"get": "list", "post": "create"})(request).render().content.decode()

    assert f'<option value="{items[1].pk}">{items[1].name}</option>' in page


class NoteFilter(django_filters.FilterSet):
    class Meta:
        model = Note
        fields = {"item": ["exact", "in"], "copied_from": ["isnull"]}


def test_filter__by_the_reference(items):
    """A filter set takes parents by key, in lists, and NULL."""
    with use_primary():
        one = NoteFilter({"item": items[0].pk}).qs
        several = NoteFilter({"item__in": f"{items[0].pk},{items[1].pk}"}).qs
        empty = NoteFilter({"item": items[0].pk, "copied_from__isnull": "false"}).qs

        assert [one.count(), several.count(), empty.count()] == [2, 2, 0]


class NoteResource(ModelResource):
    class Meta:
        model = Note


def test_import_export__of_children(items):
    """Exported children have the keys of their parents, and can be imported again."""
    notes = items[0].notes.order_by("id")
    exported = NoteResource().export(notes)
    notes.all().delete()

    result = NoteResource().import_data(exported, raise_errors=True)

    assert exported["item"] == [items[0].pk] * 2
    assert result.totals["new"] == 2
    assert items[0].notes.count() == 2


def test_worker__after_a_deletion(items):
    """The notes of a deleted item are deleted, and copies of it name no item any more."""
    copied = Note.objects.create(text="copy", item=items[1], copied_from=items[0])
    items[0].delete()

    call_command("crossdb_worker", once=True, stdout=StringIO())

    copied.refresh_from_db()
    assert copied.copied_from_id is None
    assert not Note.objects.filter(text__in=["first", "second"], item_id=items[0].pk).exists()
