#!/bin/sh
# Run PostgreSQL with a database for Placement, whose user has the password DATABASE_PASSWORD.
# Arguments go to postgres. All of it is in /var/lib/postgresql, where a volume keeps it.
set -eu
: "${DATABASE_PASSWORD:?is not set}"

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
data=/var/lib/postgresql/data

# Half a cluster is none: it gets its name when it is whole.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    initdb --pgdata "$data.new" --encoding UTF8 --locale C.UTF-8 --auth-local trust >/dev/null
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
fi

# While nobody else can reach it: what is missing is made, and the password is the one given now.
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
