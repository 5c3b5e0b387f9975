"""import-sqlite: copy an SQLite file into a server's database in one transaction, and compare."""

import contextlib
import struct
from collections.abc import Iterable, Iterator
from datetime import datetime
from graphlib import TopologicalSorter
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from oslo_db import exception as db_exception
from placement.db.sqlalchemy import models
from sqlalchemy import exc as sa_exc

from entrypoint.database import check_url, name_of, release, revisions, schema
from entrypoint.database.connection import command, connect, reason
from entrypoint.database.lock import wait_for_lock
from entrypoint.errors import StartError
from entrypoint.variables import CONNECTION

SOURCE = "/var/lib/placement/cats.db"
# Each table after those that it refers to.
TABLES = models.BASE.metadata.sorted_tables
# The tables that Placement fills whenever it starts; only names that begin with CUSTOM_ are data.
STANDARD = ("traits", "resource_classes")
# The rows of one statement.
CHUNK = 1000


def import_sqlite(path: str = SOURCE) -> None:
    """Copy all rows of an SQLite file into the empty database of a server, in one transaction."""
    with command() as config:
        if check_url(config).get_backend_name() == "sqlite":
            raise StartError(f"{CONNECTION} is an SQLite database: set it to the server's database")
        with opened(path) as source:
            schema.sync(config)
            engine = connect(config)
            # READ COMMITTED: the comparison sees what others have committed in the meantime.
            connection = engine.connect().execution_options(isolation_level="READ COMMITTED")
            with wait_for_lock(engine), connection as target, target.begin():
                refuse_data(target)
                count = copy(source, target, path)
    print(f"all {count} rows are copied and compared")


@contextlib.contextmanager
def opened(path: str) -> Iterator[sa.Connection]:
    """Open the file read-only, in one transaction: later writes to it are not seen."""
    if not Path(path).is_file():
        raise StartError(f"{path} does not exist: mount the volume with the SQLite file")
    url = sa.URL.create("sqlite", database=f"file:{quote(path)}", query={"mode": "ro", "uri": "1"})
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        refuse_other_schema(engine, path)
    except sa_exc.DBAPIError as error:
        raise StartError(
            f"{path} cannot be read: {reason(error)}. If it is a database of Placement, stop every"
            f" container that writes to it, and run {sync_of(path)} once to repair it"
        ) from error
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection


def refuse_other_schema(engine: sa.Engine, path: str) -> None:
    """Refuse a file whose schema is not exactly this release's."""
    with engine.connect() as connection:
        revision = revisions.revision(connection)
        recorded = release.recorded(connection)
    if revision is None:
        raise StartError(f"{path} has no schema of Placement: nothing to copy")
    head = revisions.migrations().get_current_head()
    if revision != head or recorded not in (None, release.MAJOR):
        raise StartError(
            f"{path} is not at release {release.series(release.MAJOR)}, the release of this"
            f" image: first run {sync_of(path)}"
        )


def sync_of(path: str) -> str:
    """Return how to run db-sync on the file."""
    return f"the command db-sync with {CONNECTION}=sqlite:///{Path(path).absolute()}"


def refuse_data(target: sa.Connection) -> None:
    """Refuse a database with more rows than Placement writes when it starts."""
    for table in TABLES:
        rows = sa.select(sa.func.count()).select_from(table)
        if table.name in STANDARD:
            rows = rows.where(table.c.name.startswith("CUSTOM_", autoescape=True))
        if found := target.execute(rows).scalar():
            raise StartError(
                f"{name_of(target.engine.url)} already contains data ({found} rows in"
                f" {table.name}): set {CONNECTION} to an empty database"
            )


def copy(source: sa.Connection, target: sa.Connection, path: str) -> int:
    """Copy every table, compare all of them, and return the number of rows."""
    mysql = target.dialect.name == "mysql"
    if mysql:
        # The resource class VCPU has the id 0.
        target.exec_driver_sql("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
        print("MySQL stores whole seconds: fractions of a second are truncated", flush=True)
    for name in STANDARD:  # other tables refer to the ids of the source's rows
        target.execute(models.BASE.metadata.tables[name].delete())
    total = 0
    for table in TABLES:
        count = insert(source, target, table, path)
        print(f"{table.name}: {count} rows", flush=True)
        total += count
    for table in TABLES:
        compare(source, target, table, path)
    if target.dialect.name == "postgresql":
        set_sequences(target)
    return total


def insert(source: sa.Connection, target: sa.Connection, table: sa.Table, path: str) -> int:
    """Copy a table and return the number of its rows."""
    cut = target.dialect.name == "mysql"
    count = 0
    try:
        rows = parents_first(table, source.execute(ordered(table)).mappings())
        while chunk := [
            {name: without_fraction(value) if cut else value for name, value in row.items()}
            for row in islice(rows, CHUNK)
        ]:
            target.execute(table.insert(), chunk)
            count += len(chunk)
    except db_exception.DBConnectionError:
        raise
    except (db_exception.DBError, sa_exc.SQLAlchemyError) as error:
        raise StartError(
            f"{table.name} of {path} cannot be copied, and nothing was copied: {reason(error)}."
            " Run Placement on that file, change the data through its API, and try again"
        ) from error
    return count


def ordered(table: sa.Table) -> sa.Select[Any]:
    """Return the query for all rows in the order of their primary keys, fetched in chunks."""
    return sa.select(table).order_by(*table.primary_key).execution_options(yield_per=CHUNK)


def parents_first(table: sa.Table, rows: Iterable[Any]) -> Iterator[Any]:
    """Order the rows of a table that refers to itself: MySQL needs each row after its parents."""
    parents = [key.parent.name for key in table.foreign_keys if key.column.table is table]
    if not parents:
        return iter(rows)
    by_id = {row["id"]: row for row in rows}
    graph = {key: {row[name] for name in parents} - {None, key} for key, row in by_id.items()}
    return (by_id[key] for key in TopologicalSorter(graph).static_order() if key in by_id)


def without_fraction(value: Any) -> Any:
    """Return a time in whole seconds: MySQL would round the fraction, and MariaDB cut it off."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def as_in_mysql(value: Any) -> Any:
    """Return the value as MySQL returns it: a FLOAT has four bytes, and six digits when read."""
    if isinstance(value, float):
        return float(f"{struct.unpack('f', struct.pack('f', value))[0]:.6g}")
    return without_fraction(value)


def compare(source: sa.Connection, target: sa.Connection, table: sa.Table, path: str) -> None:
    """Refuse the copy if any row differs from the source's, or exists on one side only."""
    mysql = target.dialect.name == "mysql"
    pairs = zip_longest(
        source.execute(ordered(table)), target.execute(ordered(table)), fillvalue=()
    )
    for wanted, found in pairs:
        if [as_in_mysql(value) if mysql else value for value in wanted] != list(found):
            raise StartError(
                f"the copy of {table.name} differs from {path}, so nothing was copied:"
                f" {tuple(wanted)} became {tuple(found)}. Stop what writes to the database"
            )


def set_sequences(target: sa.Connection) -> None:
    """Let PostgreSQL's sequences continue after the highest id of each table."""
    for table in TABLES:
        column = table.autoincrement_column
        if column is None:
            continue
        if highest := target.scalar(sa.select(sa.func.max(column))):
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            target.execute(sa.select(sa.func.setval(sequence, highest)))
