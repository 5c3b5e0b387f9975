#!/bin/sh
# What the container runs: it looks at the environment, then serves, or does the one thing asked for:
#   db-sync | upgrade-check | online-data-migrations [--max-count N] | import-sqlite [PATH] |
#   check-config
# exec, so that signals reach the server itself. -I: nothing around it steers this Python.
exec /opt/placement/bin/python3 -I /startup "$@"
