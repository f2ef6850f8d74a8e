#!/bin/bash
# Be a streaming standby of PRIMARY_HOST: clone it where no whole clone is, then become the server.
#
# A clone is made beside PGDATA and renamed when it is whole, so PGDATA is absent or complete, whenever this is killed.
# A whole clone is used again, also while the primary is down: then it serves reads and catches up later. It is made anew
# only when the primary answers and is another system, or no longer keeps the WAL that the clone needs.
#
# Reads PRIMARY_HOST, PRIMARY_PORT (5432), REPLICATOR_PASSWORD, REPLICATION_SLOT, APPLY_DELAY (0), PGDATA; arguments are
# passed to postgres. The volume holds PGDATA's parent, because a mount point cannot be renamed.
set -euo pipefail
trap 'exit 143' TERM INT # without it a shell that is process 1 ignores both

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

# reserved | extended | unreserved: the WAL is kept. lost: it was removed. Nothing: there is no such slot.
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
  # In the background, because only `wait` lets a signal through.
  pg_basebackup --dbname="$primary" --no-password --pgdata="$clone" --wal-method=stream --slot="$REPLICATION_SLOT" \
    --checkpoint=fast &
  wait $!
  touch "$clone/standby.signal"
  sync "$clone/standby.signal" "$clone"
  [[ ! -e $PGDATA ]] || mv "$PGDATA" "$replaced"
  mv "$clone" "$PGDATA"
  sync "$(dirname "$PGDATA")"
  rm -rf "$replaced"
  say "the clone is whole"
}

[[ -e $PGDATA || ! -e $replaced ]] || mv "$replaced" "$PGDATA" # killed between the two renames
rm -rf "$clone" "$replaced"

if [[ -e $PGDATA/PG_VERSION && ! -e $PGDATA/standby.signal ]]; then
  say "$PGDATA holds a server that is no standby, perhaps a promoted one: remove it by hand to clone anew"
  exit 1
elif [[ ! -e $PGDATA/standby.signal ]]; then
  until primary_system > /dev/null; do
    say "waiting for the primary: there is no clone to serve yet"
    sleep 2
  done
  make_clone
elif ! system=$(primary_system) || ! slot=$(slot_status); then
  say "the primary does not answer: serving the clone as it is"
elif [[ $system != "$(clone_system)" ]]; then
  say "the primary is another system than the clone's"
  make_clone
elif [[ -z $slot || $slot == lost ]]; then
  say "the primary no longer keeps what the clone needs (slot $REPLICATION_SLOT: ${slot:-absent})"
  make_clone
fi

exec postgres -c primary_conninfo="$primary" -c primary_slot_name="$REPLICATION_SLOT" -c hot_standby=on \
  -c hot_standby_feedback=on -c recovery_min_apply_delay="${APPLY_DELAY:-0}" -c wal_retrieve_retry_interval=1s "$@"
