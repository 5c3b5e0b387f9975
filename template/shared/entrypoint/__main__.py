"""The container's commands; /startup.sh describes them for users."""

import importlib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from entrypoint.errors import UsageError, report_errors
from entrypoint.signals import handle_signals
from entrypoint.variables import ignore_others


class Command(NamedTuple):
    """The module and the function of a command, and the arguments that the function takes."""

    module: str
    function: str
    arguments: str = ""

    def takes(self, given: list[str]) -> bool:
        """Return whether the command takes these arguments; those in brackets are optional."""
        if self.arguments.endswith("...]"):
            return True
        accepted = re.findall(r"\[[^]]*\]|\S+", self.arguments)
        if self.arguments.startswith("[--"):
            words = self.arguments.split()
            ends = {number for number, word in enumerate(words) if word.startswith("[")}
            pairs = zip((word.strip("[]") for word in words), given, strict=False)
            names = all(word == argument for word, argument in pairs if word.startswith("--"))
            return names and len(given) in ends | {len(words)}
        required = [name for name in accepted if not name.startswith("[")]
        options = [argument for argument in given if argument.startswith("-")]
        return len(required) <= len(given) <= len(accepted) and not options

    def load(self) -> Callable[..., None]:
        """Return the function. Its module is imported only now: some take long to load."""
        function: Callable[..., None] = getattr(
            importlib.import_module(f"entrypoint.{self.module}"), self.function
        )
        return function


COMMANDS = {
    "serve": Command("server", "serve"),
    "create-database": Command("database.create_database", "create_database"),
    "db-sync": Command("database.schema", "db_sync"),
    "upgrade-check": Command("database.schema", "upgrade_check"),
    "online-data-migrations": Command(
        "database.schema", "online_data_migrations", "[--max-count N]"
    ),
    "import-sqlite": Command("database.import_sqlite", "import_sqlite", "[PATH]"),
    "check-config": Command("server", "check_config", "[--database [--json]]"),
    "check-keystone": Command("keystone", "check_keystone"),
    "register": Command("registration", "register", "[--dry-run]"),
    "rotate-credential": Command("rotation", "rotate_credential", "SECRET DAYS"),
    "smoke-test": Command("client", "smoke_test", "[URL]"),
    "token": Command("client", "print_token"),
    "load-test": Command("client", "load_test", "URL CLIENTS SECONDS"),
    "zones": Command("zones.command", "zones", "ACTION [ARGUMENT...]"),
    "devstack-env": Command("devstack_env", "devstack_env", "PLACEMENT_CONF LOCAL_CONF [HOST_IP]"),
    "placement-manage": Command("database.schema", "placement_manage", "[ARGUMENT...]"),
    "placement-status": Command("database.schema", "placement_status", "[ARGUMENT...]"),
}


def main(arguments: list[str]) -> None:
    """Run the command that is named, or serve."""
    ignore_others()
    name, *given = arguments or ["serve"]
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(f"{name} is not a command: use {', '.join(COMMANDS)}, or none to serve")
    if re.match("--.*=", " ".join(given)):  # --option=VALUE
        given = given[0].split("=", 1) + given[1:]
    if not command.takes(given):
        expected = command.arguments or "no arguments"
        raise UsageError(f"{' '.join([name, *given])}: the command {name} takes {expected}")
    command.load()(*given)


if __name__ == "__main__":
    handle_signals()
    with report_errors():
        main(sys.argv[1:])
