"""The triggers of each vendor."""

from django.db import NotSupportedError

from switchyard.crossdb.references.triggers.mysql import MYSQL
from switchyard.crossdb.references.triggers.postgresql import POSTGRESQL
from switchyard.crossdb.references.triggers.sqlite import SQLITE
from switchyard.crossdb.references.triggers.templates import Triggers

_BY_VENDOR = {"postgresql": POSTGRESQL, "mysql": MYSQL, "sqlite": SQLITE}
VENDORS = tuple(_BY_VENDOR)


def triggers_of(vendor: str) -> Triggers:
    """Return the triggers of the vendor. Raises NotSupportedError for a vendor without triggers here."""
    try:
        return _BY_VENDOR[vendor]
    except KeyError:
        raise NotSupportedError(
            f"Deletions on {vendor} cannot be recorded. Keep the parents on PostgreSQL, MySQL, MariaDB or SQLite, or"
            " set on_delete=DO_NOTHING on the CrossDatabaseForeignKey."
        ) from None
