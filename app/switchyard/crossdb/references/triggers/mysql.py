"""MySQL and MariaDB: a trigger for each row. It runs as its definer, who made it.

No trigger fires for TRUNCATE, nor for rows that a cascade of the server deletes: system checks report both.
https://dev.mysql.com/doc/refman/8.4/en/create-trigger.html
"""

from switchyard.crossdb.references.triggers.templates import Triggers

# The worker reads times in the TIME_ZONE of the alias: a tombstone that is due since yesterday is due in each zone.
_DUE = "UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
_INSERT = (
    "INSERT INTO `switchyard_tombstone` (`reference`, `parent_key`, `deleted_at`, `due_at`, `state`, `attempts`,"
    f" `error`) SELECT %(reference)s, OLD.%(key)s, UTC_TIMESTAMP(6), {_DUE}, 0, 0, ''"
)

MYSQL = Triggers(
    tombstones=(
        (
            "CREATE TABLE IF NOT EXISTS `switchyard_tombstone` (`id` bigint AUTO_INCREMENT PRIMARY KEY,"
            " `reference` varchar(255) NOT NULL, `parent_key` varchar(255) NOT NULL, `deleted_at` datetime(6) NOT NULL,"
            " `due_at` datetime(6) NOT NULL, `state` smallint NOT NULL, `attempts` integer NOT NULL,"
            " `error` longtext NOT NULL, INDEX `switchyard_tombstone_due` (`reference`, `state`, `due_at`))"
            " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"  # whatever the database has, it holds each key
        ),
    ),
    made=(
        (
            f"CREATE TRIGGER %(trigger_update)s AFTER UPDATE ON %(table)s FOR EACH ROW {_INSERT}"
            " FROM DUAL WHERE NOT (OLD.%(key)s <=> NEW.%(key)s)"
        ),
        f"CREATE TRIGGER %(trigger_delete)s AFTER DELETE ON %(table)s FOR EACH ROW {_INSERT}",
    ),
    removed=tuple(f"DROP TRIGGER IF EXISTS %(trigger_{event})s" for event in ("delete", "update")),
    listed="SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
)
