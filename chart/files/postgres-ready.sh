#!/bin/bash
# Succeed if the server of an owner is ready: it listens on TCP, as the temporary server of the entrypoint does not, and it
# takes writes. Asks over the socket, which needs no password.
set -euo pipefail

answer=$(psql --no-psqlrc --no-password --no-align --tuples-only --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
SELECT concat_ws(', ',
  CASE WHEN current_setting('listen_addresses') = '' THEN 'does not listen yet' END,
  CASE WHEN pg_is_in_recovery() THEN 'in recovery: this server takes no writes' END)
SQL
)
[[ -z $answer ]] || { echo "$answer" >&2; exit 1; }
