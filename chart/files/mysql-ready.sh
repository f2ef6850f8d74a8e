#!/bin/bash
# Ready: the service's own user reads its database over TCP, which the entrypoint's first server does not offer, and may write.
set -euo pipefail

answer=$(MYSQL_PWD=$APP_PASSWORD mysql --no-defaults --host=127.0.0.1 --user=app --skip-column-names \
  --execute='SELECT @@super_read_only' "$MYSQL_DATABASE")
[[ $answer == 0 ]] || { echo "super_read_only: this server cannot be written" >&2; exit 1; }
