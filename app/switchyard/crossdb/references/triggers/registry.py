"""The triggers of each vendor."""

from django.db import NotSupportedError

from switchyard.crossdb.references.triggers.mysql import MYSQL
from switchyard.crossdb.references.triggers.postgresql import POSTGRESQL
from switchyard.crossdb.references.triggers.sqlite import SQLITE
from switchyard.crossdb.references.triggers.templates import Triggers

_BY_VENDOR = {"postgresql": POSTGRESQL, "mysql": MYSQL, "sqlite": SQLITE}


def triggers_of(vendor: str) -> Triggers:
    """Return the triggers of the vendor. Raises NotSupportedError for a vendor without triggers here."""
    try:
        return _BY_VENDOR[vendor]
    except KeyError:
        raise NotSupportedError(
            f"No trigger records deletions on {vendor}. Set recorded_by='signals' on the CrossDatabaseForeignKey."
        ) from None
