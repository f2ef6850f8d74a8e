"""The statements that record the deletions of one parent for one reference, as templates for each vendor.

The names between %( and )s are filled in by `RecordDeletions`; a percent sign of the statement itself is doubled.
"""

from typing import NamedTuple


class Triggers(NamedTuple):
    """The templates of one vendor."""

    tombstones: tuple[str, ...]  # make the table of tombstones, if it is not there
    made: tuple[str, ...]  # the trigger for DELETE last
    removed: tuple[str, ...]
    listed: str  # the names of all triggers that fire
    functions: tuple[str, ...] = ()  # that the triggers call
    deleted_by_row: str = ""  # takes the place of the trigger for DELETE where the parent's table has partitions
    flush_begins: tuple[str, ...] = ()  # let `flush` empty the parents' tables, in its transaction
    flush_ends: tuple[str, ...] = ()
