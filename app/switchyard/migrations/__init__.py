"""Migrations per alias: what an alias owns is made and recorded there, nothing else is. The commands stand on this.

The modules are private, because Django takes each public one of an app's `migrations` for a migration.
"""

from switchyard.migrations._files import make_room
from switchyard.migrations._owned import OwnedExecutor, OwnedLoader, owns
from switchyard.migrations._patience import alone, wait_for_server, without_time_limits
from switchyard.migrations._status import migrating, pending
from switchyard.migrations._swap import swapped

__all__ = [
    "OwnedExecutor",
    "OwnedLoader",
    "alone",
    "make_room",
    "migrating",
    "owns",
    "pending",
    "swapped",
    "wait_for_server",
    "without_time_limits",
]
