"""The container's commands; /startup.sh describes them for users."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

# Each command imports what it needs: some of these modules take long to load.
from entrypoint.errors import StartError, UsageError, report_errors
from entrypoint.signals import handle_signals

if TYPE_CHECKING:
    from oslo_config import cfg

MANAGE = "/opt/placement/bin/placement-manage"
STATUS = "/opt/placement/bin/placement-status"


def serve() -> None:
    """Check the settings, then become uWSGI."""
    from entrypoint import options, server

    config = options.load()
    options.require_auth_strategy(config)
    server.serve(config)


def check_config() -> None:
    """Check the settings as serve does, without a database."""
    from entrypoint import database, options, server

    config = options.load()
    options.require_auth_strategy(config)
    server.check(config)
    database.check_url(config)
    print("the configuration is valid")


@contextlib.contextmanager
def database_command() -> Iterator["cfg.ConfigOpts"]:
    """Load the settings and prepare the database for a command."""
    from oslo_log import log
    from placement import db_api

    from entrypoint import options
    from entrypoint.database import connection

    config = options.load()
    log.setup(config, "placement")
    db_api.configure(config)
    with connection.preparation(config):
        yield config


def db_sync() -> None:
    """Bring the schema up to date; any number of containers may do so at once."""
    with database_command() as config:
        from entrypoint.database import schema

        schema.sync(config)
    print("the schema is up to date")


def upgrade_check(*options: str) -> None:
    """Run Placement's own upgrade check and return its exit code.

    1 is a warning and 2 stops the upgrade, so errors found here exit with 2.
    """
    try:
        with database_command() as config:
            from entrypoint.database import schema

            has_schema = schema.may_be_synced(config)
    except StartError as error:
        error.exit_code = 2
        raise
    if not has_schema:
        print("the database has no schema yet: nothing to upgrade")
        return
    os.execv(STATUS, [STATUS, "upgrade", "check", *options])


def online_data_migrations(*options: str) -> None:
    """Migrate old rows while Placement serves: all of them, or at most --max-count."""
    with database_command() as config:
        from entrypoint.database import schema

        if not schema.is_ready(config):
            raise StartError("the database has no schema yet: run the command db-sync once")
    os.execv(MANAGE, [MANAGE, "db", "online_data_migrations", *options])


def import_sqlite(*path: str) -> None:
    """Copy all rows of a SQLite file into the database of a server, which must be empty."""
    with database_command() as config:
        from entrypoint.database import import_sqlite

        import_sqlite.run(config, *path)


def smoke_test(*url: str) -> None:
    """Test that a running Placement answers, accepts a token and reaches its database."""
    from entrypoint import client

    client.smoke_test(*url)


def token() -> None:
    """Print a token for tests: Keystone's for Placement's own user, or `admin` with noauth2."""
    from entrypoint import client

    print(client.token())


def load_test(url: str, clients: str, seconds: str) -> None:
    """Put load on a running Placement, and print the results of each second as JSON."""
    from entrypoint import client

    client.load_test(url, clients, seconds)


def devstack_env(placement_conf: str, local_conf: str, host_ip: str = "") -> None:
    """Print the container's variables for a devstack, read from its configuration files."""
    from entrypoint import devstack_env

    devstack_env.run(placement_conf, local_conf, host_ip)


class Command(NamedTuple):
    """A command and the arguments that it accepts; those in brackets are optional."""

    run: Callable[..., None]
    usage: str = ""

    def accepts(self, arguments: list[str]) -> bool:
        """Return whether the arguments fit the usage: one option, or some positional ones."""
        words = re.findall(r"\[[^]]*\]|\S+", self.usage)
        if self.usage.startswith("[--"):
            option = self.usage.strip("[]").split()
            return not arguments or (len(arguments) == len(option) and arguments[0] == option[0])
        required = sum(not word.startswith("[") for word in words)
        return required <= len(arguments) <= len(words) and not any(
            argument.startswith("-") for argument in arguments
        )


COMMANDS = {
    "serve": Command(serve),
    "db-sync": Command(db_sync),
    "upgrade-check": Command(upgrade_check, "[--json]"),
    "online-data-migrations": Command(online_data_migrations, "[--max-count N]"),
    "import-sqlite": Command(import_sqlite, "[PATH]"),
    "check-config": Command(check_config),
    "smoke-test": Command(smoke_test, "[URL]"),
    "token": Command(token),
    "load-test": Command(load_test, "URL CLIENTS SECONDS"),
    "devstack-env": Command(devstack_env, "PLACEMENT_CONF LOCAL_CONF [HOST_IP]"),
}


def main(arguments: list[str]) -> None:
    """Run the command that is named, or serve."""
    name, *given = arguments or ["serve"]
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(
            f"{name} is no command: use one of {', '.join(COMMANDS)}, or none to serve"
        )
    # --option=VALUE is the same as --option VALUE.
    given = [
        part for word in given for part in (word.split("=", 1) if word[:2] == "--" else [word])
    ]
    if not command.accepts(given):
        expected = command.usage or "no arguments"
        raise UsageError(f"{' '.join([name, *given])}: the command {name} takes {expected}")
    command.run(*given)


if __name__ == "__main__":
    handle_signals()
    with report_errors():
        main(sys.argv[1:])
