#!/bin/sh
# Run PostgreSQL. DATABASE_ADMIN_PASSWORD is the password of its user postgres.
# Arguments are passed to postgres. The data is in /var/lib/postgresql, which is a volume.
set -eu
: "${DATABASE_ADMIN_PASSWORD:?is not set}"

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
data=/var/lib/postgresql/data

# initdb writes to a temporary folder, so that an interruption leaves no half-written data.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    initdb --pgdata "$data.new" --encoding UTF8 --locale C.UTF-8 --auth-local trust >/dev/null
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
fi

# Set the current password, while no client can connect.
pg_ctl --pgdata "$data" --silent --wait --options "-c listen_addresses=''" start >/dev/null
psql --quiet --set ON_ERROR_STOP=1 postgres <<'END'
\getenv password DATABASE_ADMIN_PASSWORD
ALTER ROLE postgres PASSWORD :'password';
END
pg_ctl --pgdata "$data" --silent --wait stop

exec postgres -D "$data" -c listen_addresses='*' "$@"
