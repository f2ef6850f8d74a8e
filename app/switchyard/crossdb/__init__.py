"""Queries whose keys are on one database and whose rows are on another database."""

from switchyard.crossdb.attach import aattach, attach
from switchyard.crossdb.attachment import Keyed
from switchyard.crossdb.errors import TooManyKeysError
from switchyard.crossdb.explain import explain_cross
from switchyard.crossdb.expression import CrossDatabaseIn

__all__ = ["CrossDatabaseIn", "Keyed", "TooManyKeysError", "aattach", "attach", "explain_cross"]
