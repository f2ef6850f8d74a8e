#!/bin/bash
# Succeed if the server of an owner is ready: it accepts connections over TCP and takes writes. The temporary server of the
# entrypoint does not listen on TCP.
set -euo pipefail

answer=$(psql --no-psqlrc --no-password --no-align --tuples-only --host=127.0.0.1 --username="$POSTGRES_USER" \
  --dbname="$POSTGRES_DB" --command='SELECT NOT pg_is_in_recovery()')
[[ $answer == t ]] || { echo "in recovery: this server takes no writes" >&2; exit 1; }
