"""The container's commands; see /startup.sh."""

# First of all, so that no signal is lost while the others are imported.
import ending  # noqa: F401

# isort: split

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from problem import StartError, tell, told_in_one_line

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


@contextlib.contextmanager
def configured() -> Iterator[Any]:
    """Yield the configuration, with placement's database set up by it."""
    from oslo_log import log
    from placement import db_api

    import database
    import options

    config = options.load()
    log.setup(config, "placement")
    db_api.configure(config)
    with database.preparing(config):
        yield config


def db_sync(arguments: list[str]) -> None:
    """Bring the schema up to date; safe when many containers do so at once."""
    with configured() as config:
        import database

        database.sync(config)
    print("the schema is up to date")


def upgrade_check(arguments: list[str]) -> None:
    """Run placement's own check before an upgrade, and return its exit code.

    1 is a warning. 2 stops the upgrade, as what is refused here does.
    """
    try:
        with configured() as config:
            import database

            has_schema = database.may_be_synced(config)
    except StartError as error:
        tell(error)
        sys.exit(2)
    if not has_schema:
        print("the database has no schema yet: nothing to upgrade")
        return
    os.execv(STATUS, [STATUS, "upgrade", "check", *arguments])


def online_data_migrations(arguments: list[str]) -> None:
    """Bring old rows up to date, also while placement serves; all of them, or --max-count."""
    with configured() as config:
        import database

        if not database.is_ready(config):
            raise StartError("the database has no schema yet: run the command db-sync once")
    os.execv(MANAGE, [MANAGE, "db", "online_data_migrations", *arguments])


def import_sqlite(arguments: list[str]) -> None:
    """Copy all data of a SQLite file into the database, which has to be a server's and empty."""
    if len(arguments) > 1:
        raise StartError("import-sqlite takes one argument at most: the path of SQLite's file")
    with configured() as config:
        import importing

        importing.run(config, *arguments)


COMMANDS = {
    "serve": serve,
    "db-sync": db_sync,
    "upgrade-check": upgrade_check,
    "online-data-migrations": online_data_migrations,
    "import-sqlite": import_sqlite,
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
