#!/bin/bash
# Write the settings of the command line to postgresql.conf and start postgres: ALTER SYSTEM cannot change settings of
# the command line, and tests delay a standby, or separate it from its owner, while it runs.
#
# The containers find this script on their PATH before the real postgres.
set -euo pipefail

while [[ ${1-} == -c ]]; do
  printf "%s = '%s'\n" "${2%%=*}" "${2#*=}" >> "$PGDATA/postgresql.conf"
  shift 2
done
exec /usr/lib/postgresql/*/bin/postgres "$@"
