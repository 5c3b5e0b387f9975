#!/bin/sh
# Run MySQL. DATABASE_ADMIN_PASSWORD is the password of its user root.
# Arguments are passed to mysqld. The data is in /var/lib/mysql, which is a volume.
set -eu

data=/var/lib/mysql/data
[ -d "$data" ] || /opt/mysql/bin/mysqld --no-defaults --datadir="$data" --initialize-insecure
cat >/tmp/root.sql <<END
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '$DATABASE_ADMIN_PASSWORD';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
END
exec /opt/mysql/bin/mysqld --no-defaults --datadir="$data" --mysqlx=OFF \
    --skip-name-resolve --init-file=/tmp/root.sql "$@"
