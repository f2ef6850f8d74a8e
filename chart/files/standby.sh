#!/bin/bash
# Run a streaming standby of PRIMARY_HOST: clone the primary if there is no complete clone, then start the server.
#
# The script clones into a directory beside PGDATA and renames it when it is complete. PGDATA is therefore absent or complete,
# whenever the script is killed. A complete clone is used again, also while the primary is down: it then serves reads and
# catches up later. The script clones again only if the primary answers and is another system, or if the primary no longer
# keeps the WAL that the clone needs.
#
# Reads PRIMARY_HOST, PRIMARY_PORT (default 5432), REPLICATOR_PASSWORD, REPLICATION_SLOT, APPLY_DELAY (default 0) and PGDATA.
# Passes its arguments to postgres. The volume holds the parent of PGDATA, because a mount point cannot be renamed.
set -euo pipefail
trap 'exit 143' TERM INT # without this a shell that is process 1 ignores both signals

say() { echo "standby: $*" >&2; }

clone=$PGDATA.clone
replaced=$PGDATA.replaced
passfile=/tmp/replicator.pgpass

password=${REPLICATOR_PASSWORD//\\/\\\\}
(umask 077 && printf '*:*:*:replicator:%s\n' "${password//:/\\:}" > "$passfile")
unset REPLICATOR_PASSWORD password
primary="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator passfile=$passfile connect_timeout=5"
primary+=" application_name=$REPLICATION_SLOT"

ask_primary() { psql --no-psqlrc --no-password --no-align --tuples-only --quiet --dbname="$primary dbname=postgres" "$@"; }

primary_system() { ask_primary --command='SELECT system_identifier FROM pg_control_system()'; }

clone_system() { LC_ALL=C pg_controldata "$PGDATA" | sed -n 's/^Database system identifier: *//p'; }

# Print the status of the slot. reserved, extended, unreserved: the primary keeps the WAL. lost: it removed the WAL. Nothing: the
# slot does not exist.
slot_status() {
  ask_primary --set=slot="$REPLICATION_SLOT" <<< "SELECT wal_status FROM pg_replication_slots WHERE slot_name = :'slot'"
}

make_slot() {
  if [[ $(slot_status) == lost ]]; then
    ask_primary --set=slot="$REPLICATION_SLOT" <<< "SELECT pg_drop_replication_slot(:'slot')"
  fi
  ask_primary --set=slot="$REPLICATION_SLOT" > /dev/null <<< "
    SELECT pg_create_physical_replication_slot(:'slot', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot')"
}

make_clone() {
  make_slot
  say "cloning $PRIMARY_HOST over slot $REPLICATION_SLOT"
  mkdir -p "$(dirname "$PGDATA")"
  # In the background, because a shell handles signals only during `wait`.
  pg_basebackup --dbname="$primary" --no-password --pgdata="$clone" --wal-method=stream --slot="$REPLICATION_SLOT" \
    --checkpoint=fast &
  wait $!
  touch "$clone/standby.signal"
  sync "$clone/standby.signal" "$clone"
  [[ ! -e $PGDATA ]] || mv "$PGDATA" "$replaced"
  mv "$clone" "$PGDATA"
  sync "$(dirname "$PGDATA")"
  rm -rf "$replaced"
  say "the clone is complete"
}

[[ -e $PGDATA || ! -e $replaced ]] || mv "$replaced" "$PGDATA" # the script was killed between the two renames
rm -rf "$clone" "$replaced"

if [[ -e $PGDATA/PG_VERSION && ! -e $PGDATA/standby.signal ]]; then
  say "$PGDATA holds a server that is not a standby; it may have been promoted. Remove the directory by hand to clone again."
  exit 1
elif [[ ! -e $PGDATA/standby.signal ]]; then
  until primary_system > /dev/null; do
    say "waiting for the primary, because there is no clone yet"
    sleep 2
  done
  make_clone
elif ! system=$(primary_system) || ! slot=$(slot_status); then
  say "the primary does not answer; starting with the clone as it is"
elif [[ $system != "$(clone_system)" ]]; then
  say "the primary is another system than the clone; cloning again"
  make_clone
elif [[ -z $slot || $slot == lost ]]; then
  say "the primary no longer keeps the WAL that the clone needs (slot $REPLICATION_SLOT: ${slot:-absent}); cloning again"
  make_clone
fi

exec postgres -c primary_conninfo="$primary" -c primary_slot_name="$REPLICATION_SLOT" -c hot_standby=on \
  -c hot_standby_feedback=on -c recovery_min_apply_delay="${APPLY_DELAY:-0}" -c wal_retrieve_retry_interval=1s "$@"
