"""Tasks for the workers of task queues."""

from django.tasks import task

from project.shop.models import Item


@task()
def item_exists(name: str) -> bool:
    """Return True if the worker sees the item."""
    return Item.objects.filter(name=name).exists()
