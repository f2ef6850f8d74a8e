#!/bin/bash
# Start postgres with the settings of its command line in postgresql.conf: what stands there, ALTER SYSTEM can change.
#
# It is mounted before the real one on the PATH, so that a test can delay a standby or cut it off while it runs.
set -euo pipefail

while [[ ${1-} == -c ]]; do
  printf "%s = '%s'\n" "${2%%=*}" "${2#*=}" >> "$PGDATA/postgresql.conf"
  shift 2
done
exec /usr/lib/postgresql/*/bin/postgres "$@"
