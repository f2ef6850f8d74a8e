#!/bin/bash
# Run a read-only replica of SOURCE_HOST that follows by GTID: clone the source if there is no complete clone, then start the
# server.
#
# A temporary server clones the source into a directory beside the data directory, and the script renames it when it is
# complete. The data directory is therefore absent or complete, whenever the script is killed. A complete clone is used again,
# also while the source is down: it then serves reads and catches up later. The script clones again only if the source answers
# and is another server, has purged transactions that the clone needs, or lacks transactions that the clone has; or if the clone
# cannot apply a transaction. It looks for another server before each start, and for all of them every CHECK_SECONDS while the
# server runs.
#
# Reads SOURCE_HOST, SOURCE_PORT (default 3306), REPLICATOR_PASSWORD (at most 32 characters), APPLY_DELAY (seconds, default 0),
# CHECK_SECONDS (default 10) and SOURCE_CA: the certificate of the authority by which the replica verifies the source; without it
# the connection is only encrypted. Passes its arguments to mysqld. The volume holds the parent of the data directory, because a
# mount point cannot be renamed.
set -euo pipefail
trap stop TERM INT # without this a shell that is process 1 ignores both signals

say() { echo "replica: $*" >&2; }

# Quote a text for statements with NO_BACKSLASH_ESCAPES, where only a quote must be doubled.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

# Quote a text for a file of options, where a backslash escapes.
quoted_option() { local escaped=${1//\\/\\\\}; printf '"%s"' "${escaped//\"/\\\"}"; }

server= # its process id
datadir=/var/lib/mysql/data
for argument; do [[ $argument != --datadir=* ]] || datadir=${argument#*=}; done
clone=$datadir.clone
replaced=$datadir.replaced
temporary=$datadir.temporary # data of the server that makes the clone
origin=$datadir/cloned-from  # holds the server_uuid of the source
promoted=$datadir/promoted   # exists if the server took writes: nothing replaces them
password_file=/tmp/replicator.password
source_client=/tmp/source.cnf # options of the client for the source, because other users of the node see a process's environment
status_client=/tmp/status.cnf # options of the client for the status of the replica; the readiness probe reads it, too
statements=/tmp/start.sql
port=${SOURCE_PORT:-3306}

if [[ -v REPLICATOR_PASSWORD ]]; then
  if ((${#REPLICATOR_PASSWORD} > 32)); then
    say "REPLICATOR_PASSWORD has ${#REPLICATOR_PASSWORD} characters, and MySQL takes 32 for replication; set a shorter one"
    exit 1
  fi
  (umask 077 && printf '%s' "$REPLICATOR_PASSWORD" > "$password_file")
  exec env --unset=REPLICATOR_PASSWORD "$0" "$@" # the environment of a process keeps a variable that the shell unsets
fi
password=$(< "$password_file")
(umask 077 && printf '[client]\nuser=replicator\npassword=%s\n' "$(quoted_option "$password")" > "$source_client")

client_tls=(--ssl-mode=REQUIRED)
clone_tls=()
replication_tls='SOURCE_SSL = 1'
if [[ -n ${SOURCE_CA:-} ]]; then
  client_tls=(--ssl-mode=VERIFY_IDENTITY "--ssl-ca=$SOURCE_CA")
  clone_tls=("--clone-ssl-ca=$SOURCE_CA")
  replication_tls+=", SOURCE_SSL_VERIFY_SERVER_CERT = 1, SOURCE_SSL_CA = $(quoted "$SOURCE_CA")"
fi

# Both have a time limit, because the shell handles a signal only when the client has ended.
ask_source() {
  timeout 10 mysql --defaults-file="$source_client" --host="$SOURCE_HOST" --port="$port" --connect-timeout=5 \
    "${client_tls[@]}" --batch --skip-column-names
}

ask_replica() { timeout 10 mysql --defaults-file="$status_client" --batch --skip-column-names; }

source_id() { ask_source <<< 'SELECT @@server_uuid'; }

stop() {
  [[ -n $server ]] || exit 143
  kill -TERM "$server" || true # unless it has just ended
  wait "$server"
  exit
}

# Run the temporary server, let it clone the source, and end it.
clone_source() {
  local source options=(--no-defaults --datadir="$temporary" --disable-log-bin --innodb-redo-log-capacity=8M
    --log-error-verbosity=1 --mysqlx=OFF --skip-networking --socket=/tmp/temporary.sock --pid-file=/tmp/temporary.pid)
  rm -rf "$clone" "$temporary"
  source=$(source_id) || return
  # In the background, because a shell handles signals only during `wait`.
  mysqld "${options[@]}" --initialize-insecure &
  server=$!
  wait "$server" || return
  mysqld "${options[@]}" --plugin-load-add=mysql_clone.so "${clone_tls[@]}" &
  server=$!
  until mysqladmin --no-defaults --socket=/tmp/temporary.sock --user=root ping &> /dev/null; do
    kill -0 "$server" && sleep 1 || return
  done
  mysql --no-defaults --socket=/tmp/temporary.sock --user=root << SQL &
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
SET GLOBAL clone_valid_donor_list = $(quoted "$SOURCE_HOST:$port");
CLONE INSTANCE FROM replicator@$(quoted "$SOURCE_HOST"):$port IDENTIFIED BY $(quoted "$password")
  DATA DIRECTORY = $(quoted "$clone") REQUIRE SSL;
SQL
  wait $! || { kill "$server" && wait "$server"; return 1; }
  kill "$server" && wait "$server" && echo "$source" > "$clone/${origin##*/}"
}

make_clone() {
  mkdir -p "$(dirname "$datadir")"
  say "cloning $SOURCE_HOST"
  until clone_source; do
    server=
    say "the clone failed; trying again"
    sleep 2
  done
  server=
  rm -rf "$temporary"
  sync "$clone/${origin##*/}" "$clone"
  [[ ! -e $datadir ]] || mv "$datadir" "$replaced"
  mv "$clone" "$datadir"
  sync "$(dirname "$datadir")"
  rm -rf "$replaced"
  say "the clone is complete"
}

# Let the data directory hold a clone of the source, or any clone while the source does not answer.
prepare() {
  local source
  if [[ ! -e $datadir ]]; then
    until source_id > /dev/null; do
      say "waiting for the source, because there is no clone yet"
      sleep 2
    done
    make_clone
  elif ! source=$(source_id); then
    say "the source does not answer; starting with the clone as it is"
  elif [[ $source != "$(< "$origin")" ]]; then
    say "the source is another server than the clone's; cloning again"
    make_clone
  fi
}

# Write what the server does before it accepts a connection; there it may write although it is read-only. The user exists on this
# server alone, so it has no GTID.
write_statements() {
  local status_password
  status_password=$(head --bytes=24 /dev/urandom | base64)
  (
    umask 077
    printf '[client]\nsocket=/var/run/mysqld/mysqld.sock\nuser=replica_status\npassword=%s\n' "$status_password" > "$status_client"
    cat > "$statements" << SQL
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
SET SESSION sql_log_bin = OFF;
CREATE USER IF NOT EXISTS replica_status@localhost;
ALTER USER replica_status@localhost IDENTIFIED BY $(quoted "$status_password");
GRANT SELECT ON performance_schema.* TO replica_status@localhost;
CHANGE REPLICATION SOURCE TO SOURCE_HOST = $(quoted "$SOURCE_HOST"), SOURCE_PORT = $port, SOURCE_USER = 'replicator',
  SOURCE_PASSWORD = $(quoted "$password"), SOURCE_AUTO_POSITION = 1, SOURCE_DELAY = ${APPLY_DELAY:-0}, $replication_tls,
  SOURCE_HEARTBEAT_PERIOD = 2, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 0;
START REPLICA;
SQL
  )
}

# Print, between bars: whether the server is read-only, the transactions that it has, those that it has received, and the number
# of the error that stopped it from applying one.
replica_state() {
  ask_replica << 'SQL'
SELECT concat_ws('|', @@read_only, replace(@@gtid_executed, '\n', ''),
  (SELECT replace(received_transaction_set, '\n', '') FROM performance_schema.replication_connection_status),
  (SELECT max(last_error_number) FROM (
    SELECT last_error_number FROM performance_schema.replication_applier_status_by_coordinator
    UNION ALL SELECT last_error_number FROM performance_schema.replication_applier_status_by_worker) AS errors))
SQL
}

# Print why the clone must be replaced; nothing if it is good. Fail if the source does not answer. Arguments: what
# replica_state prints, without the first. The source is asked later than the replica, so it has what the replica has.
reason_to_clone() {
  local answer source lacking purged
  answer=$(ask_source << SQL
SELECT concat_ws('|', @@server_uuid, replace(gtid_subtract('$1', @@gtid_executed), '\n', ''),
  replace(gtid_subtract(@@gtid_purged, '$1,$2'), '\n', ''))
SQL
  ) || return
  IFS='|' read -r source lacking purged <<< "$answer"
  if [[ $source != "$(< "$origin")" ]]; then
    echo "the source is another server than the clone's"
  elif [[ -n $lacking ]]; then
    echo "the source lacks transactions of the clone ($lacking)"
  elif [[ -n $purged ]]; then
    echo "the source has purged transactions that the clone needs ($purged)"
  elif ((${3:-0})); then
    echo "the clone cannot apply a transaction (MySQL error $3)"
  fi
}

# Run the server until the clone must be replaced. If the server ends by itself, end with its status.
run_server() {
  local pause ended state read_only executed received error reason status=0
  write_statements
  mysqld "$@" --server-id="$(($(hostname | cksum | cut -d' ' -f1) | 2))" --init-file="$statements" --super-read-only=ON \
    --skip-replica-start=ON --relay-log=relay --relay-log-recovery=ON --replica-net-timeout=10 &
  server=$!
  while :; do
    sleep "${CHECK_SECONDS:-10}" &
    pause=$!
    wait -n -p ended "$server" "$pause" || status=$?
    [[ $ended != "$server" ]] || exit "$status"
    state=$(replica_state 2> /dev/null) || continue # it still starts
    IFS='|' read -r read_only executed received error <<< "$state"
    if [[ $read_only == 0 ]]; then
      touch "$promoted"
    elif [[ ! -e $promoted ]] && reason=$(reason_to_clone "$executed" "$received" "$error" 2> /dev/null) && [[ -n $reason ]]; then
      say "$reason; stopping, to clone again"
      kill -TERM "$server"
      wait "$server" || true
      server=
      make_clone
      return
    fi
  done
}

[[ -e $datadir || ! -e $replaced ]] || mv "$replaced" "$datadir" # the script was killed between the two renames
rm -rf "$clone" "$replaced" "$temporary"
# The container has just started, so no server runs here. A killed server leaves this file, and its process id may be in use.
rm -f /var/run/mysqld/*.lock

if [[ -e $promoted || (-e $datadir && ! -e $origin) ]]; then
  say "$datadir holds a server that is not a replica; it may have been promoted. Remove the directory by hand to clone again."
  exit 1
fi
while :; do
  prepare
  run_server "$@"
done
