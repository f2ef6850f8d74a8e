#!/bin/bash
# Ready: a standby that is in recovery, streams, and lags less than MAX_LAG seconds beyond APPLY_DELAY.
#
# Received equals replayed means no lag only because streaming is asked for beside it: a standby that is cut off has
# replayed all that it received, too.
set -euo pipefail

answer=$(psql --no-psqlrc --no-password --no-align --tuples-only --host=127.0.0.1 --username=postgres --dbname=postgres \
  --set=allowed="$((MAX_LAG + ${APPLY_DELAY%s}))" <<'SQL'
SELECT concat_ws(', ',
  CASE WHEN NOT pg_is_in_recovery() THEN 'not in recovery' END,
  CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 'not streaming' END,
  CASE WHEN pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
        AND now() - pg_last_xact_replay_timestamp() > make_interval(secs => :'allowed') THEN 'lags' END)
SQL
)
[[ -z $answer ]] || { echo "$answer" >&2; exit 1; }
