"""create-database: what an administrator creates for Placement, and what is only reported."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from entrypoint.database.rights import GRANTED, pattern
from tests.support.batch import Case, Outcome, RunBatch
from tests.support.containers import CONNECTION, PYTHON, Run
from tests.support.galera import one_worker
from tests.support.servers import PASSWORD, DatabaseServer

ADMIN = "DATABASE_ADMIN_CONNECTION"
SETTINGS = {
    "OS_API__AUTH_STRATEGY": "noauth2",
    "OS_PLACEMENT_DATABASE__MAX_RETRIES": "2",
    "OS_PLACEMENT_DATABASE__RETRY_INTERVAL": "1",
}
# Characters that URLs, SQL, and the drivers' own formats treat in a special way.
SPECIAL = "p@/:%$'\"\\ %s"
COMMANDS = f"""
/startup.sh create-database
/startup.sh create-database
export {CONNECTION}="$OTHER"
/startup.sh create-database
/startup.sh db-sync >/dev/null
"""
CHARACTERS = {"postgresql": "ENCODING 'UTF8'", "mysql": "CHARACTER SET utf8mb3"}
USERS = {"postgresql": "SELECT rolname FROM pg_roles", "mysql": "SELECT user FROM user"}
DATABASES = {"postgresql": "SELECT datname FROM pg_database", "mysql": "SHOW DATABASES"}
# A user without rights, and administrators who can create only users, or just what is needed.
USER = {
    "postgresql": "CREATE ROLE {user} LOGIN PASSWORD '{password}'",
    "mysql": "CREATE USER {user}@'%' IDENTIFIED BY '{password}'",
}
ONLY_USERS = {
    "postgresql": "ALTER ROLE {user} CREATEROLE",
    "mysql": "GRANT CREATE USER ON *.* TO {user}@'%'; GRANT SELECT ON mysql.* TO {user}@'%'",
}
EVERYTHING = {
    "postgresql": "ALTER ROLE {user} CREATEROLE CREATEDB",
    "mysql": f"{ONLY_USERS['mysql']};"
    f" GRANT {', '.join(GRANTED)} ON {{database}}.* TO {{user}}@'%' WITH GRANT OPTION",
}
# Databases that an administrator has created by hand.
DATABASE = {
    "postgresql": "CREATE DATABASE {database} OWNER {user}",
    "mysql": "CREATE DATABASE {database} CHARACTER SET utf8mb3",
}
OTHER_OWNER = {"postgresql": "CREATE DATABASE {database}", "mysql": DATABASE["mysql"]}
TABLE = dict.fromkeys(DATABASE, "CREATE TABLE a (a INT)")
LATIN = {
    "postgresql": f"{DATABASE['postgresql']} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    "mysql": "CREATE DATABASE {database} CHARACTER SET latin1",
}
READING = {
    "postgresql": "REVOKE CREATE ON SCHEMA public FROM pg_database_owner",
    "mysql": "GRANT SELECT ON {database}.* TO {user}@'%'",
}
# The attributes and the memberships of a role, and the owner of its database.
ROLE = """
SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication,
    EXISTS (SELECT FROM pg_auth_members WHERE member = role.oid),
    (SELECT datdba = role.oid FROM pg_database WHERE datname = '{name}')
FROM pg_roles AS role WHERE rolname = '{name}'
"""
# A user with the right password who may not log in.
LOCKED = {
    "postgresql": "ALTER ROLE {user} NOLOGIN",
    "mysql": "ALTER USER {user}@'%' ACCOUNT LOCK",
}
# The accounts of a user of MySQL or MariaDB, which has one for each host.
ACCOUNT = "CREATE USER {{user}}@'{host}' IDENTIFIED BY '{{password}}'"
ACCOUNTS = "SELECT host, authentication_string FROM user WHERE user = '{name}'"
GRANTS = "SELECT * FROM db WHERE user = '{name}'"
# The command that another one overtakes, with the second administrator's URL, before a statement.
OVERTAKEN = f"""
import os, runpy, subprocess, sys
import sqlalchemy as sa

beginning, admin = sys.argv[1:]
sys.argv = ["entrypoint", "create-database"]

@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def overtake(connection, cursor, statement, *_):
    if statement.startswith(beginning):
        env = os.environ | {{"{ADMIN}": admin}}
        command = [sys.executable, "-m", "entrypoint", *sys.argv[1:]]
        subprocess.run(command, env=env, check=True)

runpy.run_module("entrypoint", run_name="__main__")
"""
TWELVE = 12
# The command in many processes at once, each with the next of the URLs.
AT_ONCE = f"""
import os, runpy, sys
import entrypoint.database.create_database

urls = [each.split() for each in sys.argv[1:]]
sys.argv = ["entrypoint", "create-database"]
for number in range({TWELVE}):
    if not os.fork():
        os.environ["{ADMIN}"], os.environ["{CONNECTION}"] = urls[number % len(urls)]
        runpy.run_module("entrypoint", run_name="__main__")
        sys.exit()
for _ in range({TWELVE}):
    assert os.wait()[1] == 0
"""


@dataclass(frozen=True)
class Target:
    """A database for Placement, and its user with the same name."""

    server: DatabaseServer
    name: str = field(default_factory=lambda: f"new-{uuid.uuid4().hex[:8]}_a")
    password: str = PASSWORD

    def url(self, **changes: Any) -> str:
        """Return Placement's URL."""
        address = self.server.address
        url = sa.URL.create(self.server.driver, self.name, self.password, address, None, self.name)
        return url._replace(**changes).render_as_string(hide_password=False)

    def env(self, admin: str | None = None, **changes: Any) -> dict[str, str]:
        """Return the environment of the command."""
        admin = self.server.admin_url() if admin is None else admin
        return {**SETTINGS, ADMIN: admin, CONNECTION: self.url(**changes)}

    def case(self, admin: str | None = None, **changes: Any) -> Case:
        """Return the command with Placement's URL."""
        return Case(("create-database",), self.env(admin, **changes))

    @property
    def changes(self) -> list[str]:
        """Return what the command prints when it creates everything."""
        created = [f"created the user {self.name}"]
        if self.server.kind == "mysql":
            created += [f"granted {self.name} {', '.join(GRANTED)} on {self.name}"]
        return [*created, f"created the database {self.name} with {CHARACTERS[self.server.kind]}"]

    def administer(
        self, *actions: dict[str, str], password: str = PASSWORD, database: str = "", at: str = ""
    ) -> None:
        """Run statements with the names of the user and the database, in one of the databases."""
        quote = '"' if self.server.kind == "postgresql" else "`"
        names = {"user": self.name, "database": database or self.name}
        quoted = {key: f"{quote}{name}{quote}" for key, name in names.items()}
        for action in actions:
            statement = action[self.server.kind].format(**quoted, password=password)
            self.server.administer(statement, at or None)

    def exists(self) -> tuple[bool, bool]:
        """Return whether the user and the database exist."""
        kind = self.server.kind
        users, databases = (self.server.administer(each[kind]) for each in (USERS, DATABASES))
        return self.name in users.splitlines(), self.name in databases.splitlines()


def test_a_new_database_has_a_user_with_only_the_rights_that_placement_needs(
    server: DatabaseServer, newest: str, run: Run
) -> None:
    """The command is idempotent, and sets the password if a login fails."""
    new = Target(server, password=SPECIAL)
    env = new.env() | {"OTHER": new.url(password=PASSWORD)}
    done = run(newest, "-euc", COMMANDS, env=env, options=("--entrypoint=sh",))
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert not [password for password in (PASSWORD, SPECIAL) if password in printed]
    assert done.stdout.splitlines() == [
        *new.changes,
        "nothing to change",
        f"changed the password of {new.name}",
    ]
    if server.kind == "postgresql":
        assert server.administer(ROLE.format(name=new.name)) == "t|f|f|f|f|f|t"
        return
    usage, rights = server.administer(f"SHOW GRANTS FOR `{new.name}`@'%'").splitlines()
    assert usage.startswith("GRANT USAGE ON *.* TO ")
    found = re.match(r"GRANT (.*) ON `(.*)`\.\* TO [^ ]+$", rights)
    assert found, rights
    assert {*found[1].split(", ")} == {*GRANTED}
    assert found[2].replace(r"\\", "\\") == pattern(new.name)


def test_input_that_cannot_work_changes_nothing(
    server: DatabaseServer, run_batch: RunBatch
) -> None:
    """Each error is one line without a password. An administrator's user may have few rights."""
    new = Target(server)
    admin = sa.make_url(server.admin_url())
    users = [Target(server) for _ in range(2)]
    for user in users:
        user.administer(USER)
    users[1].administer(ONLY_USERS)
    other = {"postgresql": "mysql+pymysql", "mysql": "postgresql+psycopg2"}[server.kind]
    correct = f"Correct {ADMIN}, or give its user the rights to create databases and users$"
    only_users = f"(denied|Access denied).*{correct}"
    differs = f"{ADMIN} is for the database .*, but {CONNECTION} is for the database .*: set both"
    file = f"{ADMIN}_FILE"
    cases = {
        f"{ADMIN} is not set: set it to": new.case(""),
        f"{ADMIN} is not a database URL: write it as": new.case("root:only-for-tests@db"),
        f"Access denied.*{correct}|password authentication.*{correct}": new.case(
            shown(admin.set(password="wrong"))
        ),
        f"denied.*{correct}": new.case(server.url("", users[0].name)),
        only_users: new.case(server.url("", users[1].name)),
        differs: new.case(shown(admin.set(drivername=other))),
        f"{differs} ": new.case(shown(admin.set(port=1))),
        "cannot be used: .*Start the database": new.case(shown(admin.set(port=1)), port=1),
        f"{CONNECTION} names no database": new.case(database=None),
        f"{CONNECTION} names no user or no password": new.case(password=None),
        "has no users: create-database is for database servers": Case(
            ("create-database",), new.env() | {CONNECTION: "sqlite:////tmp/new.db"}
        ),
        f"both {ADMIN} and {file} are set": Case(
            ("create-database",), new.env() | {file: "{folder}/url"}, {"url": server.admin_url()}
        ),
    }
    for expected, outcome in run_batch(cases).items():
        assert re.search(expected, refusal(outcome)), outcome.stderr
        printed = re.findall("^(created|deleted|granted|changed) ", outcome.stdout, re.MULTILINE)
        assert printed == (["created", "deleted"] if expected == only_users else [])
    assert new.exists() == (False, False)


def shown(url: sa.URL) -> str:
    """Return a URL with its password."""
    return url.render_as_string(hide_password=False)


def refusal(outcome: Outcome) -> str:
    """Return the only line on standard error of a command that has failed."""
    assert outcome.returncode == 1, outcome
    assert PASSWORD not in outcome.stdout + outcome.stderr
    [line] = outcome.stderr.splitlines()
    assert line.startswith("placement: ")
    return line


def test_what_exists_is_completed_or_only_reported(
    server: DatabaseServer, run_batch: RunBatch
) -> None:
    """A user with few rights on an existing database keeps them.

    A user without any gets them on an empty one.
    """
    admin, limited, user, other, database, latin, few, locked = (Target(server) for _ in range(8))
    interrupted = Target(server)
    admin.administer(USER, EVERYTHING, database=pattern(limited.name))
    user.administer(USER)
    other.administer(USER, password="other")
    database.administer(OTHER_OWNER)
    latin.administer(USER, LATIN)
    few.administer(USER, DATABASE)
    few.administer(READING, at=few.name)
    locked.administer(USER, DATABASE, LOCKED)
    interrupted.administer(USER, DATABASE, password="other")
    name, characters = database.name, CHARACTERS[server.kind]
    owner = f"belongs to postgres: run ALTER DATABASE {name} OWNER TO {name}, or use another"
    expected: dict[Target, tuple[int, list[str]]] = {
        limited: (0, limited.changes),
        user: (0, user.changes[1:]),
        other: (0, [*other.changes[1:], f"changed the password of {other.name}"]),
        database: (1, [f"error: owner: the database {name} {owner} database"])
        if server.kind == "postgresql"
        else (0, database.changes[:-1]),
        latin: (1, [f"cannot store all names: create the database with {characters}"]),
        few: (1, [f"error: rights: the user {few.name}", " has no right to "]),
        locked: (1, []),
        interrupted: (
            0,
            [f"changed the password of {interrupted.name}", *interrupted.changes[1:-1]],
        ),
    }
    cases = {target.name: target.case() for target in expected}
    cases[limited.name] = limited.case(server.url("", admin.name))
    outcomes = run_batch(cases)
    for target, (code, lines) in expected.items():
        outcome = outcomes[target.name]
        assert outcome.returncode == code, outcome
        if code:
            assert re.search(
                "cannot be used: .*(the checks found 1 error|locked|not permitted to log in)",
                refusal(outcome),
            )
            assert len(outcome.stdout.splitlines()) == len(lines[:1])
            assert [text for text in lines if text in outcome.stdout] == lines, outcome
        else:
            assert outcome.stdout.splitlines() == lines
    assert database.exists() == (server.kind == "mysql", True)


def test_database_with_tables_gets_no_user_and_no_rights(
    server: DatabaseServer, run_batch: RunBatch
) -> None:
    """It may be another service's, or an administrator has revoked the rights."""
    new, revoked = Target(server), Target(server)
    revoked.administer(USER)
    for target in (new, revoked):
        target.administer(OTHER_OWNER)
        target.administer(TABLE, at=target.name)
    outcomes = run_batch({target.name: target.case() for target in (new, revoked)})
    for target, problem in ((new, "does not exist"), (revoked, "has no rights there")):
        name, outcome = target.name, outcomes[target.name]
        error = refusal(outcome)
        if server.kind == "postgresql":
            assert f"error: owner: the database {name} belongs to postgres" in outcome.stdout
        else:
            assert f"{name} has tables, but the user {name} {problem}: set another " in error
            assert f"grant {name} {', '.join(GRANTED)} on {name}" in error
            assert outcome.stdout == ""
            assert server.administer(GRANTS.format(name=name)) == ""
        assert target.exists() == (target is revoked, True)


@pytest.mark.parametrize(
    "server", ["mariadb", pytest.param("mysql8", marks=pytest.mark.only_all)], indirect=True
)
def test_account_of_another_host_is_only_reported(
    server: DatabaseServer, run_batch: RunBatch
) -> None:
    """The server prefers it to the account for all hosts, whose password may be right."""
    network, local = f"{server.address.split('.')[0]}.%", "127.0.0.1"
    hosts = ([network], ["%", network, "192.0.2.1"], [local], [local])
    users = {Target(server): names for names in hosts}
    for user, names in users.items():
        user.administer(*({"mysql": ACCOUNT.format(host=host)} for host in names), password="other")
    before = {user: accounts(user) for user in users}
    *refused, remote = users
    *others, on_the_server = refused
    outcomes = run_batch({user.name: user.case() for user in (*others, remote)})
    admin = shown(sa.make_url(server.admin_url()).set(host=local))
    there = {on_the_server.name: on_the_server.case(admin, host=local)}
    outcomes |= run_batch(there, f"--network=container:{server.name}")
    for user in refused:
        outcome = outcomes[user.name]
        assert outcome.stdout == ""
        listed = ", ".join(sorted(f"{user.name}@{host}" for host in users[user] if host != "%"))
        assert f"may prefer {listed} to {user.name}@%, the only account " in refusal(outcome)
        assert accounts(user) == before[user]
    assert outcomes[remote.name].stdout.splitlines() == remote.changes


def accounts(user: Target) -> list[str]:
    """Return the hosts of a user of MySQL or MariaDB, with the hash of each password."""
    return user.server.administer(ACCOUNTS.format(name=user.name)).splitlines()


@pytest.mark.parametrize(
    ("beginning", "has_database"), [("CREATE USER", False), ("GRANT", False), ("GRANT", True)]
)
def test_failure_keeps_a_user_that_another_container_has_completed(
    beginning: str, has_database: bool, mariadb: DatabaseServer, newest: str, run: Run
) -> None:
    """In MySQL and MariaDB, no lock separates the containers."""
    new, limited = Target(mariadb), Target(mariadb)
    limited.administer(USER, ONLY_USERS)
    if has_database:
        new.administer(DATABASE)
    env = new.env(mariadb.url("", limited.name))
    script = ("-c", OVERTAKEN, beginning, mariadb.admin_url())
    done = run(newest, *script, env=env, options=(PYTHON,))
    assert done.returncode == 1
    assert done.stdout.splitlines() == new.changes[: 2 if has_database else 3]
    mariadb.connect(new.url()).connect().close()


def test_twelve_create_the_same_database_at_once(
    server: DatabaseServer, newest: str, run: Run
) -> None:
    create_at_once([Target(server)], newest, run)


@one_worker
@pytest.mark.only_all
def test_twelve_create_the_same_database_on_three_nodes_at_once(
    galera: list[DatabaseServer], newest: str, run: Run
) -> None:
    name = Target(galera[0]).name
    create_at_once([Target(node, name) for node in galera], newest, run)


def create_at_once(targets: list[Target], newest: str, run: Run) -> None:
    """Create one database by many processes. All succeed, and each change is made."""
    urls = [f"{target.server.admin_url()} {target.url()}" for target in targets]
    done = run(newest, "-c", AT_ONCE, *urls, env=SETTINGS, options=(PYTHON,))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    first = targets[0]
    assert {*first.changes} <= {*done.stdout.splitlines()} <= {*first.changes, "nothing to change"}
    for created in (first.changes[0], first.changes[-1]):
        assert done.stdout.splitlines().count(created) == 1
    first.server.connect(first.url()).connect().close()
