#!/bin/sh
# Run PostgreSQL with a database and a user for Placement. DATABASE_PASSWORD is the user's password.
# Arguments are passed to postgres. The data is in /var/lib/postgresql, which is a volume.
set -eu
: "${DATABASE_PASSWORD:?is not set}"

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
data=/var/lib/postgresql/data

# initdb writes to a temporary folder, so that an interruption leaves no half-written data.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    initdb --pgdata "$data.new" --encoding UTF8 --locale C.UTF-8 --auth-local trust >/dev/null
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
fi

# Create what is missing and set the current password, while no client can connect.
pg_ctl --pgdata "$data" --silent --wait --options "-c listen_addresses=''" start >/dev/null
psql --quiet --set ON_ERROR_STOP=1 postgres <<'END'
\getenv password DATABASE_PASSWORD
SELECT 'CREATE ROLE placement LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'placement') \gexec
SELECT 'CREATE DATABASE placement OWNER placement'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'placement') \gexec
ALTER ROLE placement PASSWORD :'password';
END
pg_ctl --pgdata "$data" --silent --wait stop

exec postgres -D "$data" -c listen_addresses='*' "$@"
