#!/bin/bash
# Make the roles of an owner on PostgreSQL:
#   owner       owns the schema and everything that migrations create in it; nobody connects as this role
#   migrator    acts as `owner`
#   app         reads and writes rows, and makes temporary tables
#   readonly    reads rows
#   monitor     reads statistics and settings
#   replicator  streams
#
# The official postgres image runs this script in /docker-entrypoint-initdb.d at the first start, and postgres.sh at every
# other start. Mount it executable (0555): the entrypoint sources a file that is only readable, and then keeps its shell
# options.
# Reads POSTGRES_USER (default postgres), POSTGRES_DB, POSTGRES_PASSWORD, MIGRATOR_PASSWORD, APP_PASSWORD, READONLY_PASSWORD,
# MONITOR_PASSWORD and REPLICATOR_PASSWORD. Running it again changes nothing else.
set -euo pipefail

# \getenv keeps the passwords off the command line; --set would not.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname="$POSTGRES_DB" <<'SQL'
\getenv superuser_password POSTGRES_PASSWORD
\getenv migrator_password MIGRATOR_PASSWORD
\getenv app_password APP_PASSWORD
\getenv readonly_password READONLY_PASSWORD
\getenv monitor_password MONITOR_PASSWORD
\getenv replicator_password REPLICATOR_PASSWORD

SET client_min_messages = warning; -- no notice for each membership that exists

SELECT format('CREATE ROLE %I', role)
FROM unnest(ARRAY['owner', 'migrator', 'app', 'readonly', 'monitor', 'replicator']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec

ALTER ROLE :"USER" PASSWORD :'superuser_password';
ALTER ROLE migrator LOGIN PASSWORD :'migrator_password';
ALTER ROLE app LOGIN PASSWORD :'app_password';
ALTER ROLE readonly LOGIN PASSWORD :'readonly_password';
ALTER ROLE monitor LOGIN PASSWORD :'monitor_password';
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replicator_password';

GRANT owner TO migrator;
ALTER ROLE migrator SET role = 'owner';
ALTER ROLE readonly SET default_transaction_read_only = on;
GRANT pg_monitor TO monitor;

-- The limits of the service's sessions. Without a pooler the service sets them itself when it connects; behind a pooler it
-- cannot, and these hold.
ALTER ROLE app SET statement_timeout = '30s';
ALTER ROLE app SET lock_timeout = '10s';
ALTER ROLE app SET idle_in_transaction_session_timeout = '60s';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY, CREATE ON DATABASE :"DBNAME" TO owner;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO app;
GRANT CONNECT ON DATABASE :"DBNAME" TO readonly, monitor;

ALTER SCHEMA public OWNER TO owner;
REASSIGN OWNED BY migrator TO owner; -- `migrator` owned the tables of earlier charts
GRANT USAGE ON SCHEMA public TO app, readonly;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT ON TABLES TO readonly;

-- Without this right pg_stat_wal_receiver hides the timeline that a standby receives.
GRANT pg_read_all_stats TO app;
SQL
