#!/bin/bash
# Start the server of an owner on MySQL with its users:
#   migrator    changes the schema
#   app         reads and writes rows, and makes temporary tables
#   readonly    reads rows
#   monitor     reads statistics and the state of replication
#   replicator  clones the server and follows it
#
# The server itself makes the users from a file, before it accepts a connection and at every start: a changed password
# arrives with a restart, and the old password of the administrator is not needed.
# Reads MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MIGRATOR_PASSWORD, APP_PASSWORD, READONLY_PASSWORD, MONITOR_PASSWORD and
# REPLICATOR_PASSWORD. Passes its arguments to the image's entrypoint.
set -euo pipefail

# The container has just started, so no server runs here. A killed server leaves this file, and its process id may be in use.
rm -f /var/run/mysqld/*.lock

# Quote a text for statements with NO_BACKSLASH_ESCAPES, where only a quote must be doubled.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

datadir=/var/lib/mysql
for argument; do [[ $argument != --datadir=* ]] || datadir=${argument#*=}; done
database="\`${MYSQL_DATABASE//_/\\_}\`"
users=/tmp/users.sql

(
  umask 077
  cat > "$users" << SQL
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
CREATE USER IF NOT EXISTS migrator@'%', app@'%', readonly@'%', monitor@'%', replicator@'%';
ALTER USER migrator@'%' IDENTIFIED BY $(quoted "$MIGRATOR_PASSWORD"), app@'%' IDENTIFIED BY $(quoted "$APP_PASSWORD");
ALTER USER readonly@'%' IDENTIFIED BY $(quoted "$READONLY_PASSWORD"), monitor@'%' IDENTIFIED BY $(quoted "$MONITOR_PASSWORD");
ALTER USER replicator@'%' IDENTIFIED BY $(quoted "$REPLICATOR_PASSWORD");
GRANT ALL ON $database.* TO migrator@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON $database.* TO app@'%';
GRANT SELECT ON $database.* TO readonly@'%';
GRANT PROCESS, REPLICATION CLIENT ON *.* TO monitor@'%';
GRANT SELECT ON performance_schema.* TO monitor@'%';
GRANT REPLICATION SLAVE, BACKUP_ADMIN ON *.* TO replicator@'%';
SQL
  # At the first start the entrypoint signs in as an administrator without a password, and sets the password itself.
  [[ ! -d $datadir/mysql ]] || echo "ALTER USER root@localhost IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");" >> "$users"
)
unset MIGRATOR_PASSWORD APP_PASSWORD READONLY_PASSWORD MONITOR_PASSWORD REPLICATOR_PASSWORD
exec docker-entrypoint.sh "$@" --init-file="$users"
