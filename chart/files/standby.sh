#!/bin/bash
# Run a streaming standby of PRIMARY_HOST: clone the primary if there is no complete clone, then start the server.
#
# The script clones into a directory beside PGDATA and renames it when it is complete. PGDATA is therefore absent or complete,
# whenever the script is killed. A complete clone is used again, also while the primary is down: it then serves reads and
# catches up later. The script clones again only if the primary answers and is another system, or if the primary no longer
# keeps the WAL that the clone needs. It asks for that before each start, and every CHECK_SECONDS while the server runs.
#
# The standby verifies the certificate of the primary with the authority in /tls/primary.crt.
#
# Reads PRIMARY_HOST, PRIMARY_PORT (default 5432), PRIMARY_SSLMODE (default verify-full), REPLICATOR_PASSWORD, REPLICATION_SLOT, APPLY_DELAY (default 0), CHECK_SECONDS
# (default 10) and PGDATA. Passes its arguments to postgres. The volume holds the parent of PGDATA, because a mount point cannot
# be renamed.
set -euo pipefail
trap stop TERM INT # without this a shell that is process 1 ignores both signals

say() { echo "standby: $*" >&2; }

server= # its process id
clone=$PGDATA.clone
replaced=$PGDATA.replaced
outdated=$PGDATA.outdated # exists while PGDATA must be replaced: a new slot says nothing about the WAL that PGDATA needs
passfile=/tmp/replicator.pgpass

if [[ -v REPLICATOR_PASSWORD ]]; then
  password=${REPLICATOR_PASSWORD//\\/\\\\}
  (umask 077 && printf '*:*:*:replicator:%s\n' "${password//:/\\:}" > "$passfile")
  exec env --unset=REPLICATOR_PASSWORD "$0" "$@" # the environment of a process keeps a variable that the shell unsets
fi
primary="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator passfile=$passfile connect_timeout=5"
primary+=" application_name=$REPLICATION_SLOT sslmode=${PRIMARY_SSLMODE:-verify-full} sslrootcert=/tls/primary.crt"

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

stop() {
  [[ -n $server ]] || exit 143
  kill -INT "$server" || true # a fast shutdown, unless it has just ended
  wait "$server"
  exit
}

# Print why the clone must be replaced; nothing if it is good. Fail if the primary does not answer.
reason_to_clone() {
  local system slot
  [[ ! -e $outdated ]] || { primary_system > /dev/null && echo "an earlier clone was not completed"; return; }
  system=$(primary_system) && slot=$(slot_status) || return
  if [[ $system != "$(clone_system)" ]]; then
    echo "the primary is another system than the clone"
  elif [[ -z $slot || $slot == lost ]]; then
    echo "the primary no longer keeps the WAL that the clone needs (slot $REPLICATION_SLOT: ${slot:-absent})"
  fi
}

make_clone() {
  [[ ! -e $PGDATA ]] || { touch "$outdated"; sync "$outdated" "$(dirname "$PGDATA")"; }
  mkdir -p "$(dirname "$PGDATA")"
  while :; do
    make_slot
    say "cloning $PRIMARY_HOST over slot $REPLICATION_SLOT"
    # In the background, because a shell handles signals only during `wait`.
    pg_basebackup --dbname="$primary" --no-password --pgdata="$clone" --wal-method=stream --slot="$REPLICATION_SLOT" \
      --checkpoint=fast &
    ! wait $! || break
    # It reports every ten seconds which WAL it has: a primary that writes more meanwhile than it keeps ends the clone.
    say "the clone failed; trying again"
    rm -rf "$clone"
    sleep 2
  done
  touch "$clone/standby.signal"
  sync "$clone/standby.signal" "$clone"
  [[ ! -e $PGDATA ]] || mv "$PGDATA" "$replaced"
  mv "$clone" "$PGDATA"
  rm -f "$outdated"
  sync "$(dirname "$PGDATA")"
  rm -rf "$replaced"
  say "the clone is complete"
}

# Let PGDATA hold a good clone, or the clone as it is while the primary does not answer.
prepare() {
  local reason
  if [[ ! -e $PGDATA/standby.signal ]]; then
    until primary_system > /dev/null; do
      say "waiting for the primary, because there is no clone yet"
      sleep 2
    done
    make_clone
  elif ! reason=$(reason_to_clone); then
    say "the primary does not answer; starting with the clone as it is"
  elif [[ -n $reason ]]; then
    say "$reason; cloning again"
    make_clone
  fi
}

# Run the server until the clone must be replaced. If the server ends by itself, end with its status.
run_server() {
  local pause ended reason status=0
  postgres -c primary_conninfo="$primary" -c primary_slot_name="$REPLICATION_SLOT" -c hot_standby=on \
    -c hot_standby_feedback=on -c recovery_min_apply_delay="${APPLY_DELAY:-0}" -c wal_retrieve_retry_interval=1s "$@" &
  server=$!
  while :; do
    sleep "${CHECK_SECONDS:-10}" &
    pause=$!
    wait -n -p ended "$server" "$pause" || status=$?
    [[ $ended != "$server" ]] || exit "$status"
    if [[ -e $PGDATA/standby.signal ]] && reason=$(reason_to_clone 2> /dev/null) && [[ -n $reason ]]; then
      say "$reason; stopping"
      kill -INT "$server"
      wait "$server" || true
      server=
      return
    fi
  done
}

[[ -e $PGDATA || ! -e $replaced ]] || mv "$replaced" "$PGDATA" # the script was killed between the two renames
rm -rf "$clone" "$replaced"
# The container has just started, so no server runs here. A killed server leaves these files, and its process id may be in use.
rm -f "$PGDATA/postmaster.pid" /var/run/postgresql/.s.PGSQL.*.lock

if [[ -e $PGDATA/PG_VERSION && ! -e $PGDATA/standby.signal ]]; then
  say "$PGDATA holds a server that is not a standby; it may have been promoted. Remove the directory by hand to clone again."
  exit 1
fi
while :; do
  prepare
  run_server "$@"
done
