#!/bin/sh
# The container's entry point. Without arguments it checks the settings and serves Placement. The commands:
#   serve                           the default
#   create-database                 create the database and its user, as an administrator of the server
#   db-sync                         bring the database's schema up to date
#   upgrade-check                   Placement's own check: exit code 1 is a warning, 2 stops the upgrade
#   online-data-migrations [--max-count N]   migrate old rows, also while Placement serves
#   import-sqlite [PATH]            copy an SQLite file into the empty database of a server
#   check-config [--database [--json]]   check the settings, and with --database the database
#   check-keystone                  log in to Keystone as Placement does
#   register [--dry-run]            register Placement in Keystone, as the administrator in a clouds.yaml
#   rotate-credential SECRET DAYS   create an application credential, and write it to SECRET in Kubernetes
#   smoke-test [URL]                test the Placement at URL, or the one in this container
#   token                           print a token for tests
#   load-test URL CLIENTS SECONDS   put load on a running Placement; prints a line of JSON each second
#   zones ACTION [ARGUMENT...]   plan, apply or export: zones.yaml and a running Placement
#   devstack-env PLACEMENT_CONF LOCAL_CONF [HOST_IP]   print the variables for running alongside a devstack
#   placement-manage [ARGUMENT...]   Placement's own command, with the container's settings
#   placement-status [ARGUMENT...]   Placement's own command, with the container's settings
# A link to this file with the name of a command runs that command.
case ${0##*/} in placement-*) set -- "${0##*/}" "$@" ;; esac
# exec lets signals reach the server directly. -I keeps the environment and the current folder out of Python.
exec /opt/placement/bin/python3 -I -m entrypoint "$@"
