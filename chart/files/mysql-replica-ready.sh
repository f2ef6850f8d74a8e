#!/bin/bash
# Succeed if the replica is ready: it takes no writes, follows its source, and lags at most MAX_LAG_SECONDS + APPLY_DELAY
# seconds. A transaction that waits for the end of APPLY_DELAY is in none of the tables below.
set -euo pipefail

answer=$(mysql --defaults-file=/tmp/status.cnf --batch --skip-column-names << SQL
SELECT concat_ws(', ',
  IF(@@super_read_only, NULL, 'takes writes'),
  (SELECT IF(service_state = 'ON', NULL, 'does not follow its source') FROM performance_schema.replication_connection_status),
  (SELECT IF(service_state = 'ON', NULL, 'does not apply') FROM performance_schema.replication_applier_status),
  (SELECT IF(min(committed_at) < now(6) - INTERVAL $((MAX_LAG_SECONDS + APPLY_DELAY)) SECOND, 'lags', NULL) FROM (
    SELECT processing_transaction AS gtid, processing_transaction_original_commit_timestamp AS committed_at
    FROM performance_schema.replication_applier_status_by_coordinator
    UNION ALL SELECT applying_transaction, applying_transaction_original_commit_timestamp
    FROM performance_schema.replication_applier_status_by_worker) AS applied
   WHERE gtid <> ''))
SQL
)
[[ -z $answer ]] || { echo "$answer" >&2; exit 1; }
