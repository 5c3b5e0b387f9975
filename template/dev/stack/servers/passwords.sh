#!/bin/sh
# Generate each password that .env lacks: dev/stack/servers/passwords.sh NAME... Existing lines are kept.
set -eu
umask 077

touch .env
chmod 600 .env
# If the last line does not end with a newline, add one before appending.
[ -z "$(tail -c 1 .env)" ] || echo >>.env
for name; do
    grep -Eq "^(export +)?$name=" .env ||
        printf '%s=%s\n' "$name" "$(od -A n -N 24 -t x1 /dev/urandom | tr -d ' \n')" >>.env
done
