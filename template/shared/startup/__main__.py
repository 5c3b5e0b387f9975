"""The container's commands; see /startup.sh."""

# First of all, so that no signal is lost while the others are imported.
import ending  # noqa: F401

# isort: split

import os
import sys

from problem import StartError, told_in_one_line

MANAGE = "/opt/placement/bin/placement-manage"
STATUS = "/opt/placement/bin/placement-status"


def serve(arguments: list[str]) -> None:
    """Check everything that can be checked quickly, then serve."""
    import options
    import server

    config = options.load()
    options.require_auth_strategy(config)
    server.serve(config)


def check_config(arguments: list[str]) -> None:
    """Check the configuration, without a database."""
    import database
    import options
    import server

    config = options.load()
    options.require_auth_strategy(config)
    server.check(config)
    database.check_url(config)
    print("the configuration is valid")


def prepare(*, sync: bool) -> bool:
    """Return whether the database has a schema, after bringing it up to date where asked."""
    from oslo_log import log
    from placement import db_api

    import database
    import options

    config = options.load()
    log.setup(config, "placement")
    db_api.configure(config)
    with database.preparing(config):
        return database.prepare(config, sync=sync)


def db_sync(arguments: list[str]) -> None:
    """Bring the schema up to date; safe when many containers do so at once."""
    prepare(sync=True)
    print("the schema is up to date")


def upgrade_check(arguments: list[str]) -> None:
    """Run placement's own check before an upgrade; its exit code says how that went."""
    if not prepare(sync=False):
        print("the database has no schema yet: nothing to upgrade")
        return
    os.execv(STATUS, [STATUS, "upgrade", "check", *arguments])


def online_data_migrations(arguments: list[str]) -> None:
    """Bring old rows up to date, also while placement serves; exit code 1 asks to run it again."""
    if not prepare(sync=False):
        raise StartError("the database has no schema yet: run the command db-sync once")
    os.execv(MANAGE, [MANAGE, "db", "online_data_migrations", *arguments])


COMMANDS = {
    "serve": serve,
    "db-sync": db_sync,
    "upgrade-check": upgrade_check,
    "online-data-migrations": online_data_migrations,
    "check-config": check_config,
}


def main(arguments: list[str]) -> None:
    """Run the command named, or serve."""
    name = arguments[0] if arguments else "serve"
    if name not in COMMANDS:
        raise StartError(
            f"{name} is no command: use one of {', '.join(COMMANDS)}, or none to serve"
        )
    COMMANDS[name](arguments[1:])


if __name__ == "__main__":
    with told_in_one_line():
        main(sys.argv[1:])
