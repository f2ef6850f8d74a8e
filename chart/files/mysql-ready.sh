#!/bin/bash
# Succeed if the server is ready: it listens on TCP, as the temporary server of the entrypoint does not, the user `app` exists,
# and the server takes writes. Asks over the socket, which needs no TLS.
set -euo pipefail

answer=$(MYSQL_PWD=$APP_PASSWORD mysql --no-defaults --socket=/var/run/mysqld/mysqld.sock --user=app --skip-column-names \
  "$MYSQL_DATABASE" <<'SQL'
SELECT concat_ws(', ',
  IF(@@skip_networking, 'does not listen yet', NULL),
  IF(@@super_read_only, 'super_read_only is set: this server takes no writes', NULL));
SQL
)
[[ -z $answer ]] || { echo "$answer" >&2; exit 1; }
