#!/bin/sh
# Run MariaDB with a database and a user for Placement. DATABASE_PASSWORD is the user's password.
# Arguments are passed to mariadbd. The data is in /var/lib/mysql, which is a volume.
set -eu
: "${DATABASE_PASSWORD:?is not set}"

data=/var/lib/mysql/data

# mariadb-install-db writes to a temporary folder, so that an interruption leaves no half-written data.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    mariadb-install-db --datadir="$data.new" --skip-test-db >/dev/null
    mv "$data.new" "$data"
fi

# MariaDB runs this at each start. It creates what is missing and sets the current password.
umask 077
cat >/tmp/placement.sql <<END
CREATE DATABASE IF NOT EXISTS placement CHARACTER SET utf8mb3;
CREATE USER IF NOT EXISTS placement@'%';
ALTER USER placement@'%' IDENTIFIED BY '$DATABASE_PASSWORD';
GRANT ALL ON placement.* TO placement@'%';
END

# Clients in containers have no host name, and a lookup may take seconds.
exec mariadbd --datadir="$data" --bind-address='*' --skip-name-resolve --init-file=/tmp/placement.sql "$@"
