"""Queries whose keys are on one database and whose rows are on another database."""

from switchyard.crossdb.attach import aattach, attach
from switchyard.crossdb.attachment import Keyed
from switchyard.crossdb.rows import rows_by_key

__all__ = ["Keyed", "aattach", "attach", "rows_by_key"]
