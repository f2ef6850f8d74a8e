"""SQLite: a trigger for each row. `REPLACE` fires it only with `PRAGMA recursive_triggers`.

https://www.sqlite.org/lang_createtrigger.html
"""

from switchyard.crossdb.references.triggers.templates import Triggers

_NOW = "datetime('now')"  # without a percent sign, which Django would take for a parameter
# The worker reads times in the TIME_ZONE of the alias: a tombstone that is due since yesterday is due in each zone.
_DUE = "datetime('now', '-1 day')"
_INSERT = (
    'BEGIN INSERT INTO "switchyard_tombstone" (reference, parent_key, deleted_at, due_at, state, attempts, error)'
    f" VALUES (%(reference)s, OLD.%(key)s, {_NOW}, {_DUE}, 0, 0, ''); END"
)

SQLITE = Triggers(
    tombstones=(
        (
            'CREATE TABLE IF NOT EXISTS "switchyard_tombstone" (id integer PRIMARY KEY AUTOINCREMENT,'
            " reference varchar(255) NOT NULL, parent_key varchar(255) NOT NULL, deleted_at datetime NOT NULL,"
            " due_at datetime NOT NULL, state smallint NOT NULL, attempts integer NOT NULL, error text NOT NULL)"
        ),
        'CREATE INDEX IF NOT EXISTS "switchyard_tombstone_due" ON "switchyard_tombstone" (reference, state, due_at)',
    ),
    made=(
        (
            f"CREATE TRIGGER IF NOT EXISTS %(trigger_update)s AFTER UPDATE OF %(key)s ON %(table)s FOR EACH ROW"
            f" WHEN OLD.%(key)s IS NOT NEW.%(key)s {_INSERT}"
        ),
        f"CREATE TRIGGER IF NOT EXISTS %(trigger_delete)s AFTER DELETE ON %(table)s FOR EACH ROW {_INSERT}",
    ),
    removed=tuple(f"DROP TRIGGER IF EXISTS %(trigger_{event})s" for event in ("delete", "update")),
    listed="SELECT name FROM sqlite_master WHERE type = 'trigger'",
)
