#!/bin/sh
# Run MariaDB. DATABASE_ADMIN_PASSWORD is the password of its user root.
# Arguments are passed to mariadbd. The data is in /var/lib/mysql, which is a volume.
set -eu
: "${DATABASE_ADMIN_PASSWORD:?is not set}"

data=/var/lib/mysql/data

# mariadb-install-db writes to a temporary folder, so that an interruption leaves no half-written data.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    mariadb-install-db --datadir="$data.new" --skip-test-db >/dev/null
    mv "$data.new" "$data"
fi

# MariaDB runs this at each start. It sets the current password.
umask 077
cat >/tmp/root.sql <<END
CREATE USER IF NOT EXISTS root@'%';
ALTER USER root@'%' IDENTIFIED BY '$DATABASE_ADMIN_PASSWORD';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
END

# Clients in containers have no host name, and a lookup may take seconds.
exec mariadbd --datadir="$data" --bind-address='*' --skip-name-resolve --init-file=/tmp/root.sql "$@"
