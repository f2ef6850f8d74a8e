#!/bin/bash
# Succeed if the standby is ready: it is in recovery, it streams, and it lags at most MAX_LAG_SECONDS + APPLY_DELAY seconds.
#
# "Received equals replayed" means no lag only while the standby streams: a standby without a connection to its primary has
# also replayed everything that it received.
set -euo pipefail

answer=$(psql --no-psqlrc --no-password --no-align --tuples-only --username=postgres --dbname=postgres \
  --set=allowed="$((MAX_LAG_SECONDS + ${APPLY_DELAY%s}))" <<'SQL'
SELECT concat_ws(', ',
  CASE WHEN NOT pg_is_in_recovery() THEN 'not in recovery' END,
  CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 'not streaming' END,
  CASE WHEN pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
        AND now() - pg_last_xact_replay_timestamp() > make_interval(secs => :'allowed') THEN 'lags' END)
SQL
)
[[ -z $answer ]] || { echo "$answer" >&2; exit 1; }
