#!/bin/sh
# Run MySQL with a database and a user for Placement. DATABASE_PASSWORD is the user's password.
# Arguments are passed to mysqld. The data is in /var/lib/mysql, which is a volume.
set -eu

data=/var/lib/mysql/data
[ -d "$data" ] || /opt/mysql/bin/mysqld --no-defaults --datadir="$data" --initialize-insecure
cat >/tmp/placement.sql <<END
CREATE DATABASE IF NOT EXISTS placement CHARACTER SET utf8mb3;
CREATE USER IF NOT EXISTS placement@'%' IDENTIFIED BY '$DATABASE_PASSWORD';
GRANT ALL ON placement.* TO placement@'%';
END
exec /opt/mysql/bin/mysqld --no-defaults --datadir="$data" --mysqlx=OFF \
    --skip-name-resolve --init-file=/tmp/placement.sql "$@"
