#!/bin/bash
# Start the server of an owner on PostgreSQL. If the volume holds a server already, make its roles again first: a changed
# password arrives with a restart. On an empty volume the image's entrypoint makes the roles.
#
# Reads what postgres-roles.sh reads. Passes its arguments, of which the first is `postgres`, to the image's entrypoint.
set -euo pipefail
trap 'exit 143' TERM INT # without this a shell that is process 1 ignores both signals

# The container has just started, so no server runs here. A killed server leaves these files, and its process id may be in use.
# pg_ctl would take postmaster.pid for the file of the new server if both have the same process id, and would not wait.
rm -f "$PGDATA/postmaster.pid" /var/run/postgresql/.s.PGSQL.*.lock

if [[ -s $PGDATA/PG_VERSION ]]; then
  printf -v options '%q ' "${@:2}" -c listen_addresses= # on the socket only
  # A recovery takes as long as it takes; the default limit is a minute.
  pg_ctl --pgdata="$PGDATA" --options="$options" --wait --timeout=86400 start
  "${BASH_SOURCE[0]%/*}/postgres-roles.sh"
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec docker-entrypoint.sh "$@"
