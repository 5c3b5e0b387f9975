"""Two users of a database in turn, as docs/rotation.md creates and exchanges them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.containers import CONNECTION, Run
from tests.support.rotation import blocks, exchange
from tests.support.servers import PASSWORD, DatabaseServer
from tests.support.template import Render

FIRST = {
    "postgresql": (
        "CREATE ROLE placement LOGIN PASSWORD 'NEW'",
        "CREATE DATABASE placement OWNER placement",
    ),
    "mysql": (
        "CREATE DATABASE placement CHARACTER SET utf8mb3",
        "CREATE USER placement@'%' IDENTIFIED BY 'NEW'",
        "GRANT ALL ON placement.* TO placement@'%'",
    ),
}
NEWER = f"{PASSWORD}-newer"

Administer = Callable[[str, str], None]


@pytest.fixture
def page(render: Render, server: DatabaseServer) -> Path:
    """Return the repository with the page for a server."""
    return render({"database": server.kind})


@pytest.fixture
def name() -> str:
    """Return the name of the database and its first user."""
    return f"rotation_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def administer(server: DatabaseServer, name: str) -> Administer:
    """Run the statements of the page, with another name and with a password."""

    def administer(statements: str, password: str) -> None:
        text = statements.replace("NEW", password)
        for statement in filter(None, map(str.strip, text.split(";"))):
            server.administer(re.sub(r"\bplacement(?=_b|\b)", name, statement))

    for statement in FIRST[server.kind]:
        administer(statement, PASSWORD)
    return administer


def test_each_user_serves_and_migrates(
    server: DatabaseServer, newest: str, run: Run, page: Path, name: str, administer: Administer
) -> None:
    def command(user: str, password: str, *arguments: str) -> tuple[int, str]:
        url = server.url(name, user, password)
        done = run(newest, *arguments, env={CONNECTION: url, "OS_API__AUTH_STRATEGY": "noauth2"})
        return done.returncode, done.stdout + done.stderr

    first, second = name, f"{name}_b"
    check = ("check-config", "--database")
    once, before, after = blocks(page, "sql")
    administer(once, NEWER)
    administer(before, NEWER)
    assert command(second, NEWER, "db-sync")[0] == 0
    assert command(first, PASSWORD, *check)[0] == 0
    administer(after, NEWER)
    assert command(second, NEWER, *check)[0] == 0
    code, printed = command(first, PASSWORD, *check)
    assert code == 1
    assert re.search("password authentication failed|locked", printed)

    administer(exchange(before), PASSWORD)
    administer(exchange(after), PASSWORD)
    assert command(first, PASSWORD, *check)[0] == 0
    assert command(second, NEWER, *check)[0] == 1


@pytest.mark.only_all
def test_a_user_of_mysql_can_have_two_passwords(
    mysql8: DatabaseServer, render: Render, name: str
) -> None:
    """MariaDB does not support the statements."""
    text = (render({"database": "mysql"}) / "docs/rotation.md").read_text(encoding="utf-8")
    retain, discard = re.findall(r"`(ALTER USER[^`]*(?:RETAIN|DISCARD)[^`]*)`", text)
    mysql8.administer(f"CREATE USER {name} IDENTIFIED BY '{PASSWORD}'")
    valid = []
    for statement in (retain, discard):
        mysql8.administer(statement.replace("NEW", NEWER).replace("placement", name))
        valid.append([can_log_in(mysql8, name, password) for password in (PASSWORD, NEWER)])
    assert valid == [[True, True], [False, True]]


def can_log_in(server: DatabaseServer, user: str, password: str) -> bool:
    """Return whether the server accepts a login."""
    try:
        server.connect(server.url("", user, password)).connect().close()
    except sa.exc.OperationalError:
        return False
    return True
