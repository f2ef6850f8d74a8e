#!/bin/bash
# Succeed if the server is ready: the user `app` can connect over TCP, and the server takes writes. The temporary server of
# the entrypoint does not listen on TCP.
set -euo pipefail

answer=$(MYSQL_PWD=$APP_PASSWORD mysql --no-defaults --host=127.0.0.1 --user=app --skip-column-names \
  --execute='SELECT @@super_read_only' "$MYSQL_DATABASE")
[[ $answer == 0 ]] || { echo "super_read_only is set: this server takes no writes" >&2; exit 1; }
