#!/bin/bash
# Make the users of an owner alias on MySQL: `migrator` may change the schema, `app` reads and writes its rows.
#
# Runs in /docker-entrypoint-initdb.d of the official mysql image. Mount it executable (0555): a file that is only
# readable is sourced, and its shell options would leak into the entrypoint.
# Reads MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MIGRATOR_PASSWORD, APP_PASSWORD; may be run again.
set -euo pipefail

# Only for statements with NO_BACKSLASH_ESCAPES: there a quote is the one character to double.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

# The entrypoint does not export the name of its temporary server's socket.
sockets=(/var/run/mysqld/*.sock)
for socket in "${sockets[@]}"; do [[ $socket == */mysqlx* ]] || break; done

# The client takes the password from the environment, so that none is on a command line.
MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --no-defaults --protocol=socket --socket="$socket" --user=root <<SQL
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
CREATE USER IF NOT EXISTS migrator@'%', app@'%';
ALTER USER migrator@'%' IDENTIFIED BY $(quoted "$MIGRATOR_PASSWORD"), app@'%' IDENTIFIED BY $(quoted "$APP_PASSWORD");
GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO migrator@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON \`${MYSQL_DATABASE//_/\\_}\`.* TO app@'%';
SQL
