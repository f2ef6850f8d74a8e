#!/bin/bash
# Ready: an owner that takes connections over TCP, which the entrypoint's first server does not, and may be written.
set -euo pipefail

answer=$(psql --no-psqlrc --no-password --no-align --tuples-only --host=127.0.0.1 --username="$POSTGRES_USER" \
  --dbname="$POSTGRES_DB" --command='SELECT NOT pg_is_in_recovery()')
[[ $answer == t ]] || { echo "in recovery: this server cannot be written" >&2; exit 1; }
