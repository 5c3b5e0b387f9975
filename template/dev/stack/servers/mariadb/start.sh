#!/bin/sh
# Run MariaDB with a database for Placement, whose user has the password DATABASE_PASSWORD.
# Arguments go to mariadbd. All of it is in /var/lib/mysql, where a volume keeps it.
set -eu
: "${DATABASE_PASSWORD:?is not set}"

data=/var/lib/mysql/data

# Half a data directory is none: it gets its name when it is whole.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    mariadb-install-db --datadir="$data.new" --skip-test-db >/dev/null
    mv "$data.new" "$data"
fi

# Read at each start: what is missing is made, and the password is the one given now.
umask 077
cat >/tmp/placement.sql <<END
CREATE DATABASE IF NOT EXISTS placement CHARACTER SET utf8mb3;
CREATE USER IF NOT EXISTS placement@'%';
ALTER USER placement@'%' IDENTIFIED BY '$DATABASE_PASSWORD';
GRANT ALL ON placement.* TO placement@'%';
END

# No name is looked up for who connects: containers have none, and the search may take seconds.
exec mariadbd --datadir="$data" --bind-address='*' --skip-name-resolve --init-file=/tmp/placement.sql "$@"
