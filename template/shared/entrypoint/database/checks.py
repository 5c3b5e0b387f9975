"""Whether Placement can use a database: checks that change nothing in it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from placement.db.sqlalchemy import models

from entrypoint.database import PREFIX, check_url, name_of, release, rights, tables
from entrypoint.database.connection import (
    FAILURES,
    RESTORE,
    WRITABLE_VOLUME,
    NoAnswerError,
    command,
    connect,
    reason,
    time_limit,
)
from entrypoint.database.revisions import is_behind, migrations, revision
from entrypoint.errors import StartError, one_line

OK, WARNING, ERROR = "ok", "warning", "error"
# Seconds for all checks, in addition to the time for the connection.
LIMIT = 60
# The character sets of MySQL and MariaDB that contain the characters of all languages.
UNICODE = {"utf8", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32"}
# The characters of the longest columns with an index, such as the names of traits.
INDEXED = 255
# How to create a database in which all names can be stored.
CHARACTERS = {"postgresql": "ENCODING 'UTF8'", "mysql": "CHARACTER SET utf8mb3"}
# The bytes that InnoDB allows in an index: with pages of 16 KiB, and in its older row formats.
MAX_INDEX, MAX_OLD_INDEX = 3072, 767
# Migrations that fail while some rows are incomplete.
BLOCKING = {"611cd6dffd7b", "b5c396305c25"}


@dataclass(frozen=True)
class Finding:
    """What a check has found."""

    severity: str
    check: str
    message: str


@dataclass(frozen=True)
class Database:
    """A database, and what several checks need to know of it."""

    connection: sa.Connection
    # The connections that one container may open; 0 is no limit.
    connections: int = 0

    @property
    def kind(self) -> str:
        """Return the kind of server."""
        return self.connection.dialect.name

    @cached_property
    def revision(self) -> str | None:
        """Return the revision of the schema."""
        return revision(self.connection)

    @cached_property
    def recorded(self) -> int | None:
        """Return the release that the last sync has recorded."""
        return release.recorded(self.connection)

    @cached_property
    def pending(self) -> set[str]:
        """Return the migrations that db-sync would run."""
        if not is_behind(self.revision):
            return set()
        steps = migrations().iterate_revisions("head", self.revision)
        return {step.revision for step in steps}

    @cached_property
    def tables(self) -> set[str]:
        """Return which of Placement's tables exist."""
        return {*models.BASE.metadata.tables} & {*sa.inspect(self.connection).get_table_names()}

    @cached_property
    def lacks(self) -> str:
        """Return what the tables lack, which only the newest revision describes."""
        return ", ".join(tables.differences(self.connection))

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return the variables of MySQL and MariaDB, with lower-case names."""
        if self.kind != "mysql":
            return {}
        return {name.lower(): value for name, value in self.execute("SHOW VARIABLES")}

    def execute(self, query: str, **values: object) -> Any:
        """Run a query."""
        return self.connection.execute(sa.text(query), values)

    def status(self, name: str) -> int:
        """Return a counter of MySQL and MariaDB."""
        found = self.execute("SHOW GLOBAL STATUS WHERE variable_name = :name", name=name).first()
        return int(found[1]) if found else 0


Found = Iterator[tuple[str, str]]


def check_release(database: Database) -> Found:
    """Compare the recorded release and the revision of the schema with this release."""
    own = f"release {release.series(release.MAJOR)}"
    recorded, found = database.recorded, database.revision
    refusal = release.refusal(recorded, release.MAJOR) if recorded else None
    described = f"release {release.series(recorded)}" if recorded else "no recorded release"
    known = {step.revision for step in migrations().walk_revisions()}
    if refusal:
        yield ERROR, str(refusal)
    elif found is None:
        yield OK, f"the database has no schema yet: db-sync creates the one of {own}"
    elif found not in known:
        yield (
            ERROR,
            f"{own} has no revision {found}, which the database is at: use the image of the release"
            " that wrote it, or a database that no other program uses",
        )
    elif database.pending:
        yield OK, f"the database has {described}, revision {found}: db-sync upgrades it to {own}"
    else:
        yield OK, f"the database has {described}, revision {found}, which is the newest of {own}"


def check_tables(database: Database) -> Found:
    """Compare the tables with the model, which describes the newest revision."""
    if database.revision is None and has_rows(database):
        yield (
            ERROR,
            f"Placement's tables have data, but the schema has no revision: {RESTORE}, or use an"
            " empty database",
        )
    if database.pending:
        return
    if missing := tables.missing_indexes(database.connection):
        yield WARNING, f"requests take longer without {', '.join(missing)}: create what is missing"
    if not database.lacks:
        yield OK, "the schema is complete"
    elif has_rows(database):
        yield ERROR, f"the schema lacks {database.lacks}: {RESTORE}"
    else:
        yield (
            OK,
            f"the schema lacks {database.lacks}, and the database has no data: db-sync starts"
            " again",
        )


def has_rows(database: Database) -> bool:
    """Return whether any of Placement's tables has a row. An interrupted sync leaves none."""
    found = (models.BASE.metadata.tables[name] for name in database.tables)
    queries = (sa.select(sa.literal(1)).select_from(table).limit(1) for table in found)
    return any(database.connection.execute(query).first() for query in queries)


def check_writable(database: Database) -> Found:
    """Find a server that accepts no writes, such as a standby or a former primary."""
    if database.kind == "postgresql":
        if database.execute("SELECT pg_is_in_recovery()").scalar():
            yield ERROR, "the server is in recovery, as a standby is: connect to the primary"
        elif database.execute("SHOW transaction_read_only").scalar() == "on":
            yield ERROR, "the database is read-only: set default_transaction_read_only=off"
    for name in ("read_only", "innodb_read_only"):
        if database.variables.get(name, "OFF") != "OFF":
            yield ERROR, f"the server is read-only ({name}): connect to the primary"
    if database.kind == "sqlite":
        path = Path(str(database.connection.engine.url.database)).resolve()
        for place in (path, path.parent):
            if not os.access(place, os.W_OK):
                yield ERROR, f"{place} cannot be written. {WRITABLE_VOLUME}"


def check_galera(database: Database) -> Found:
    """Find settings of a Galera cluster that migrations or several writers do not allow."""
    variables = database.variables
    if variables.get("wsrep_on") != "ON":
        return
    if variables["wsrep_osu_method"] == "RSU":
        yield ERROR, "wsrep_OSU_method is RSU, which would change this node only: set it to TOI"
    nodes, sync_wait = database.status("wsrep_cluster_size"), variables["wsrep_sync_wait"]
    if nodes == 1 or int(sync_wait) & 1:
        yield OK, f"Galera has {nodes} nodes, and wsrep_sync_wait is {sync_wait}"
    else:
        yield (
            WARNING,
            f"Galera has {nodes} nodes, and wsrep_sync_wait is {sync_wait}: unless all containers"
            " use the same node, a read may miss the write before it. Then set"
            " OS_PLACEMENT_DATABASE__CONNECTION_PARAMETERS to"
            " init_command=SET SESSION wsrep_sync_wait=1",
        )


def check_characters(database: Database) -> Found:
    """Find a character set that cannot hold the schema, or not the names of all providers."""
    if database.kind == "sqlite":
        return
    advice = f"create the database with {CHARACTERS[database.kind]}"
    if database.kind == "postgresql":
        used, usable = {str(database.execute("SHOW server_encoding").scalar())}, {"UTF8"}
    else:
        used, usable = mysql_character_sets(database), UNICODE
        yield from check_index_size(database, advice)
    for name in sorted(used - usable):
        if name == "binary":
            yield ERROR, f"in the character set binary, text is not returned as text: {advice}"
        else:
            # A database that serves is not stopped.
            severity = WARNING if database.tables else ERROR
            yield severity, f"the character set {name} cannot store all names: {advice}"
    if used <= usable:
        yield OK, f"the character set is {' and '.join(sorted(used))}"


def mysql_character_sets(database: Database) -> set[str]:
    """Return the character sets of Placement's columns, or of the tables that it would create."""
    columns = database.execute(
        "SELECT table_name, COALESCE(character_set_name, 'binary') FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND data_type IN ('varchar', 'varbinary')"
    )
    used = {name for table, name in columns if table in database.tables}
    return used or {database.variables["character_set_database"]}


def check_index_size(database: Database, advice: str) -> Found:
    """Find a server whose InnoDB allows only shorter indexes than the schema needs."""
    name = database.variables["character_set_database"]
    query = "SELECT maxlen FROM information_schema.character_sets WHERE character_set_name = :name"
    size = INDEXED * (database.execute(query, name=name).scalar() or 0)
    limit = MAX_INDEX * min(int(database.variables["innodb_page_size"]), 16384) // 16384
    if database.variables.get("innodb_default_row_format", "dynamic") != "dynamic":
        limit = MAX_OLD_INDEX
    if database.pending and size > limit:
        yield (
            ERROR,
            f"in the character set {name}, an index needs {size} bytes, and InnoDB allows {limit}:"
            f" set innodb_default_row_format=dynamic, or {advice}",
        )


def check_rights(database: Database) -> Found:
    """Find what the user may not do. Placement can serve without the rights to change tables."""
    if database.kind == "sqlite":
        return
    user = database.execute("SELECT CURRENT_USER").scalar()
    missing = rights.missing(database.connection, database.tables)
    if not missing:
        yield OK, f"the user {user} has all rights"
        return
    is_current = not database.pending and database.recorded == release.MAJOR and not database.lacks
    can_serve = is_current and not set(missing) & set(rights.TO_SERVE)
    advice = (
        "grant it all privileges on the database"
        if database.kind == "mysql"
        else "make it the owner of the database and of Placement's tables"
    )
    yield (
        WARNING if can_serve else ERROR,
        f"the user {user} has no right to {', '.join(missing)}: {advice}",
    )


def check_data(database: Database) -> Found:
    """Find the rows that online-data-migrations would complete, as upgrade-check does."""
    provider, allocation, consumer = models.ResourceProvider, models.Allocation, models.Consumer
    if not {each.__tablename__ for each in (provider, allocation, consumer)} <= database.tables:
        return
    roots = sa.select(sa.func.count(provider.id)).where(provider.root_provider_id.is_(None))
    consumers = (
        sa.select(sa.func.count(sa.distinct(allocation.consumer_id)))
        .outerjoin(consumer, allocation.consumer_id == consumer.uuid)
        .where(consumer.id.is_(None))
    )
    severity, advice = WARNING, "run the command online-data-migrations"
    if database.pending & BLOCKING:
        severity = ERROR
        advice = "run online_data_migrations of the release that wrote the database"
    complete = True
    for query, rows in ((roots, "providers without a root"), (consumers, "missing consumers")):
        if number := database.connection.scalar(query):
            complete = False
            yield severity, f"the database has {number} {rows}: {advice}"
    if complete:
        yield OK, "no rows are left for online-data-migrations"


def check_limits(database: Database) -> Found:
    """Compare the connections that the server allows with those that a container opens."""
    if database.kind == "sqlite":
        return
    if not database.connections:
        yield (
            WARNING,
            f"a container may open any number of connections: set {PREFIX}MAX_POOL_SIZE to 1 or"
            f" more, and {PREFIX}MAX_OVERFLOW to 0 or more",
        )
        return
    limit, others = (mysql_limit if database.kind == "mysql" else postgresql_limit)(database)
    needed, room = database.connections, (limit - others) // database.connections
    text = (
        f"of {limit} connections, others have {others} open, and a container opens up to {needed}"
    )
    if room:
        yield OK, f"{text}: there is room for {room} containers"
    else:
        yield WARNING, f"{text}: raise the limit, or set fewer UWSGI_PROCESSES or UWSGI_THREADS"


def mysql_limit(database: Database) -> tuple[int, int]:
    """Return the connections that the user may open, and how many of them others have open."""
    limit = int(database.variables["max_connections"])
    own_limit = int(database.variables["max_user_connections"])
    own = database.execute(
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE user = SUBSTRING_INDEX(USER(), '@', 1)"
    ).scalar_one()
    others = max(database.status("Threads_connected") - own, 0)
    return (own_limit, 0) if 0 < own_limit < limit - others else (limit, others)


def postgresql_limit(database: Database) -> tuple[int, int]:
    """Return the connections that the user may open, and how many of them others have open."""
    limit, others, own_limit = database.execute("""
        SELECT
            CAST(current_setting('max_connections') AS int)
                - CAST(current_setting('superuser_reserved_connections') AS int)
                - COALESCE(CAST(current_setting('reserved_connections', true) AS int), 0),
            (SELECT CAST(sum(numbackends) AS int) FROM pg_stat_database)
                - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user),
            (SELECT LEAST(NULLIF(rolconnlimit, -1), NULLIF(datconnlimit, -1))
                FROM pg_roles, pg_database
                WHERE rolname = current_user AND datname = current_database())
    """).one()
    others = max(others, 0)
    has_own_limit = own_limit is not None and own_limit < limit - others
    return (own_limit, 0) if has_own_limit else (limit, others)


Check = Callable[[Database], Found]
# The checks whose errors stop a sync before it changes anything.
BEFORE_SYNC: dict[str, Check] = {
    "release": check_release,
    "writable": check_writable,
    "galera": check_galera,
    "characters": check_characters,
    "rights": check_rights,
}
ALL: dict[str, Check] = {
    **BEFORE_SYNC,
    "tables": check_tables,
    "data": check_data,
    "limits": check_limits,
}


def refuse(connection: sa.Connection) -> None:
    """Refuse a database in which a migration would fail, or would change only a part."""
    database = Database(connection)
    for check in BEFORE_SYNC.values():
        for severity, message in check(database):
            if severity == ERROR:
                raise StartError(message)


def findings(database: Database, checks: Mapping[str, Check] = ALL) -> Iterator[Finding]:
    """Run checks. If the database itself refuses what a check does, that is an error."""
    for name, check in checks.items():
        try:
            for severity, message in check(database):
                yield Finding(severity, name, message)
        except NoAnswerError as error:
            yield Finding(ERROR, name, f"{error}: another session may have locked a table")
            return
        except FAILURES as error:
            database.connection.rollback()
            yield Finding(ERROR, name, one_line(reason(error)))


def run(config: cfg.ConfigOpts, connections: int) -> list[Finding]:
    """Connect to the database and run all checks, within the time that the options allow."""
    url = check_url(config)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        # A connection would create the file.
        return [Finding(OK, "release", f"{url.database} does not exist yet: db-sync creates it")]
    try:
        with command(config):
            engine = connect(config)
            with time_limit(LIMIT), engine.connect() as connection:
                return list(findings(Database(connection, connections)))
    except StartError as error:
        return [Finding(ERROR, "connection", one_line(error))]


def print_json(found: list[Finding]) -> None:
    """Print what the checks have found as one document."""
    is_ok = not any(finding.severity == ERROR for finding in found)
    print(json.dumps({"ok": is_ok, "findings": [*map(asdict, found)]}, indent=2))


def report(config: cfg.ConfigOpts, found: list[Finding], *, as_json: bool) -> None:
    """Print what the checks have found, and fail if there is an error."""
    if as_json:
        print_json(found)
    else:
        for finding in found:
            print(f"{finding.severity}: {finding.check}: {finding.message}")
    if errors := sum(finding.severity == ERROR for finding in found):
        count = "1 error" if errors == 1 else f"{errors} errors"
        raise StartError(f"{name_of(check_url(config))} cannot be used: the checks found {count}")
