#!/bin/bash
# Make the users of an owner on MySQL: `migrator` may change the schema, `app` may read and write rows.
#
# The official mysql image runs this script in /docker-entrypoint-initdb.d. Mount it executable (0555): the entrypoint
# sources a file that is only readable, and then keeps its shell options.
# Reads MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MIGRATOR_PASSWORD and APP_PASSWORD. Running it again changes nothing else.
set -euo pipefail

# Quote a text for statements with NO_BACKSLASH_ESCAPES, where only a quote must be doubled.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

# Find the socket of the entrypoint's temporary server; the entrypoint does not export its name.
sockets=(/var/run/mysqld/*.sock)
for socket in "${sockets[@]}"; do [[ $socket == */mysqlx* ]] || break; done

# The client reads the password from the environment, so no password is on a command line.
MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --no-defaults --protocol=socket --socket="$socket" --user=root <<SQL
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
CREATE USER IF NOT EXISTS migrator@'%', app@'%';
ALTER USER migrator@'%' IDENTIFIED BY $(quoted "$MIGRATOR_PASSWORD"), app@'%' IDENTIFIED BY $(quoted "$APP_PASSWORD");
GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO migrator@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON \`${MYSQL_DATABASE//_/\\_}\`.* TO app@'%';
SQL
