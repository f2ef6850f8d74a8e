#!/bin/bash
# Make the roles of an owner on PostgreSQL: `migrator` owns the schema, `app` may read and write rows, `replicator` streams.
#
# The official postgres image runs this script in /docker-entrypoint-initdb.d at the first start, and postgres.sh at every
# other start. Mount it executable (0555): the entrypoint sources a file that is only readable, and then keeps its shell
# options.
# Reads POSTGRES_USER (default postgres), POSTGRES_DB, POSTGRES_PASSWORD, MIGRATOR_PASSWORD, APP_PASSWORD and
# REPLICATOR_PASSWORD. Running it again changes nothing else.
set -euo pipefail

# \getenv keeps the passwords off the command line; --set would not.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname="$POSTGRES_DB" <<'SQL'
\getenv superuser_password POSTGRES_PASSWORD
\getenv migrator_password MIGRATOR_PASSWORD
\getenv app_password APP_PASSWORD
\getenv replicator_password REPLICATOR_PASSWORD

SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY['migrator', 'app', 'replicator']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec

ALTER ROLE :"USER" PASSWORD :'superuser_password';
ALTER ROLE migrator LOGIN PASSWORD :'migrator_password';
ALTER ROLE app LOGIN PASSWORD :'app_password';
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replicator_password';

-- The limits of the service's sessions. Without a pooler the service sets them itself when it connects; behind a pooler it
-- cannot, and these hold.
ALTER ROLE app SET statement_timeout = '30s';
ALTER ROLE app SET lock_timeout = '10s';
ALTER ROLE app SET idle_in_transaction_session_timeout = '60s';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY, CREATE ON DATABASE :"DBNAME" TO migrator;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO app;

ALTER SCHEMA public OWNER TO migrator;
GRANT USAGE ON SCHEMA public TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE migrator IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE migrator IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO app;

-- Without this right pg_stat_wal_receiver hides the timeline that a standby receives.
GRANT pg_read_all_stats TO app;
SQL
