"""Find the parent of a fixture's natural key on the parent's owner. Django looks on the alias that it loads into.

https://github.com/django/django/blob/6.1.3/django/core/serializers/base.py#L392
"""

from copy import copy
from functools import wraps
from typing import Any

from django.core.serializers import base

from switchyard.routing.topology.ownership import owner_of


def install() -> None:
    """Replace the function that deserializers of JSON, JSONL, YAML and Python call. A second call changes nothing."""
    deserialize: Any = base.deserialize_fk_value
    if hasattr(deserialize, "crosses_databases"):
        return

    @wraps(deserialize)
    def deserialize_fk_value(field: Any, field_value: Any, using: str | None, *args: Any, **kwargs: Any) -> Any:
        return deserialize(field, field_value, _alias(field, using), *args, **kwargs)

    deserialize_fk_value.crosses_databases = True  # type: ignore[attr-defined]
    base.deserialize_fk_value = deserialize_fk_value


def install_for_xml() -> None:
    """Replace the method of the deserializer of XML, whose module costs time at a start. `loaddata` calls this."""
    from django.core.serializers.xml_serializer import Deserializer  # noqa: PLC0415 - see above

    handle: Any = Deserializer._handle_fk_field_node  # type: ignore[attr-defined]  # noqa: SLF001
    if hasattr(handle, "crosses_databases"):
        return

    @wraps(handle)
    def _handle_fk_field_node(self: Any, node: Any, field: Any) -> Any:
        reader = copy(self)
        reader.db = _alias(field, self.db)
        return handle(reader, node, field)

    _handle_fk_field_node.crosses_databases = True  # type: ignore[attr-defined]
    Deserializer._handle_fk_field_node = _handle_fk_field_node  # type: ignore[attr-defined]  # noqa: SLF001


def _alias(field: Any, alias: str | None) -> str | None:
    return owner_of(field.related_model) if getattr(field, "crosses_databases", False) else alias
