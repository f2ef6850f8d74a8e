"""System checks of references by models and settings (E017-E021). No I/O."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connections, models

from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.triggers.registry import VENDORS, triggers_of
from switchyard.routing.topology.ownership import database_aliases, is_read_only, is_unmanaged
from switchyard.routing.topology.tables import has_owner

_DB_CASCADE = getattr(models, "DB_CASCADE", None)  # since Django 6.1
_MAX_KEY_LENGTH = 255  # of the column `parent_key`


def check_references(**_kwargs: Any) -> list[CheckMessage]:
    """Return the mistakes of the references that must record deletions. `SwitchyardConfig.ready()` registers it."""
    return [message for each in recorded_references() for check in CHECKS for message in check(each)]


def recorded_references() -> Iterator[Reference]:
    """Yield the references that record deletions, without those that another check reports."""
    for each in references(recorded_only=True):
        parent = each.field.related_model
        if isinstance(parent, str) or parent._meta.pk.column is None:
            continue  # an unknown model, or a composite key: Django reports both
        labels = parent._meta.concrete_model._meta.app_label, each.field.model._meta.app_label
        if all(map(has_owner, labels)) and {each.parent_owner, each.child_owner} <= set(database_aliases()):
            yield each


def _unreachable_children(reference: Reference) -> Iterator[CheckMessage]:
    if is_read_only(owner := reference.child_owner):
        yield Error(
            f"{reference.label} has on_delete={reference.rule}, but its rows are on '{owner}', a"
            " read-only owner (SWITCHYARD['READ_ONLY']): they would outlive their parents.",
            hint=f"Set on_delete=DO_NOTHING, or take '{owner}' out of READ_ONLY.",
            obj=reference.field,
            id="switchyard.E017",
        )


def _unmade_triggers(reference: Reference) -> Iterator[CheckMessage]:
    owner = reference.parent_owner
    if is_unmanaged(owner) and reference.recorded_by == "triggers" and vendor_of(owner) in VENDORS:
        sql = "; ".join(triggers_of(vendor_of(owner)).tombstones)
        yield Error(
            f"No migration makes the triggers for {reference.label} on '{owner}' (SWITCHYARD['UNMANAGED']): deletions"
            f" of {reference.parent._meta.label} would not be recorded.",
            hint=f"Set recorded_by='signals', and let the administrators of '{owner}' run: {sql}",
            obj=reference.field,
            id="switchyard.E018",
        )


def _unknown_vendor(reference: Reference) -> Iterator[CheckMessage]:
    if (vendor := vendor_of(reference.parent_owner)) not in VENDORS:
        yield Error(
            f"Deletions of {reference.parent._meta.label}, to which {reference.label} refers, cannot be recorded on"
            f" '{reference.parent_owner}': its server is '{vendor}'.",
            hint=f"Keep the parents on one of: {', '.join(VENDORS)} (MariaDB is mysql). Or set on_delete=DO_NOTHING.",
            obj=reference.field,
            id="switchyard.E019",
        )


def _wrong_keys(reference: Reference) -> Iterator[CheckMessage]:
    key: Any = reference.parent._meta.pk
    while key.remote_field:  # the key of a model that inherits a table, or of a one-to-one relation
        key = key.target_field
    if not _is_recordable(key):
        yield Error(
            f"{reference.label} refers to {reference.parent._meta.label} by its key '{key.name}', a"
            f" {type(key).__name__}, which a tombstone cannot hold.",
            hint=f"Refer to a model whose key is an integer, a UUID or a CharField of at most {_MAX_KEY_LENGTH}"
            " characters.",
            obj=reference.field,
            id="switchyard.E020",
        )


def _is_recordable(key: Any) -> bool:
    if isinstance(key, models.CharField):
        return key.max_length is not None and key.max_length <= _MAX_KEY_LENGTH
    return isinstance(key, models.IntegerField | models.UUIDField)


def _unseen_cascades(reference: Reference) -> Iterator[CheckMessage]:
    if vendor_of(reference.parent_owner) == "mysql":
        for field in database_cascades(reference):
            yield unseen_cascade(reference, f"{field.model._meta.label}.{field.name}")


def database_cascades(reference: Reference) -> list[Any]:
    """Return the foreign keys of the parent's model whose cascade the server runs."""
    fields: Any = reference.parent._meta.local_fields
    return [each for each in fields if _DB_CASCADE and each.remote_field and each.remote_field.on_delete is _DB_CASCADE]


def unseen_cascade(reference: Reference, foreign_key: str) -> CheckMessage:
    """Return the error of a foreign key whose cascade deletes parents without a trigger."""
    return Error(
        f"'{reference.parent_owner}' deletes rows of {reference.parent._meta.label} by the cascade of {foreign_key},"
        f" for which MySQL and MariaDB fire no trigger: the children by {reference.label} would outlive them.",
        hint="Let Django delete these rows: set on_delete=CASCADE in place of DB_CASCADE, or drop ON DELETE CASCADE on"
        " the server.",
        obj=reference.field,
        id="switchyard.E021",
    )


def vendor_of(alias: str) -> str:
    """Return Django's name of the vendor. No connection is opened."""
    vendor: str = connections[alias].vendor
    return vendor


CHECKS = (_unreachable_children, _unmade_triggers, _unknown_vendor, _wrong_keys, _unseen_cascades)
