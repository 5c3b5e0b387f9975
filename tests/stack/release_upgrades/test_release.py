"""The image refuses a step that OpenStack does not support, by a record in the database."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from extensions.releases import release_step
from tests.support.containers import CONNECTION, PYTHON, RELEASES, Environment, Run, logs, serving
from tests.support.servers import DatabaseServer

ALL_STEPS = """
import json
from entrypoint.database import release
majors = range(9, 20)
print(json.dumps([
    (release.series(old), release.series(new), str(release.refusal(old, new) or ""))
    for old in majors for new in majors
]))
"""


def test_image_and_questions_allow_the_same_steps(engine: str, newest: str) -> None:
    """The release that the image names as the next step is a supported step."""
    command = [engine, "run", "--rm", PYTHON, newest, "-I", "-c", ALL_STEPS]
    steps = json.loads(subprocess.check_output(command, text=True))
    assert {(old, new) for old, new, _ in steps} >= set(itertools.product(RELEASES, repeat=2))
    for old, new, refusal in steps:
        assert bool(refusal) == bool(release_step(old, new)), (old, new, refusal)
        if "upgrade to " in refusal:
            between = refusal.partition("upgrade to ")[2].partition(" ")[0]
            assert release_step(old, between) == ""


def test_database_cannot_be_downgraded(
    server: DatabaseServer, image: Callable[[str], str], engine: str, run: Run
) -> None:
    """An old container keeps serving while the new release rolls out."""
    env = {CONNECTION: server.new_database()}
    assert run(image("2026.1"), "db-sync", env=env).returncode == 0
    assert run(image("2026.2"), "db-sync", env=env).returncode == 0
    assert comment(server, env) == "placement 16.0.0"
    going_back = "is at release 2026.2 and cannot go back to 2026.1: use the image of 2026.2"
    for command, code in {"db-sync": 1, "upgrade-check": 2}.items():
        refused = run(image("2026.1"), command, env=env)
        assert (refused.returncode, refused.stderr.count("\n")) == (code, 1)
        assert going_back in refused.stderr
    with serving(engine, image("2026.1"), env) as old:
        assert old.client.get("/resource_providers").status_code == 200
        assert logs(engine, old.name).count(going_back) == 1
    assert comment(server, env) == "placement 16.0.0"


def comment(server: DatabaseServer, env: Environment) -> str | None:
    """Return the comment of the table with the schema's revision."""
    inspector = sa.inspect(server.connect(env[CONNECTION]))
    return inspector.get_table_comment("alembic_version")["text"]


def test_database_cannot_skip_a_step(image: Callable[[str], str], run: Run, volume: str) -> None:
    """Every command of the new image refuses it. The release in between leads to the new one."""
    options = (f"--volume={volume}:/var/lib/placement",)
    assert run(image("2025.1"), "db-sync", options=options).returncode == 0
    jump = "OpenStack cannot upgrade the database from 2025.1 to 2026.2 in one step"
    auth = {"OS_API__AUTH_STRATEGY": "noauth2", "PORT": "8778"}
    for command, env, code in [
        ("upgrade-check", {}, 2),
        ("db-sync", {}, 1),
        ("online-data-migrations", {}, 1),
        ("serve", {**auth, "DB_SYNC": "True"}, 1),
        ("serve", auth, 1),
    ]:
        refused = run(image("2026.2"), command, env=env, options=options)
        assert (refused.returncode, refused.stderr.count("\n")) == (code, 1), command
        assert f"{jump}: upgrade to 2026.1 first" in refused.stderr
    for release in ("2026.1", "2026.2"):
        assert run(image(release), "db-sync", options=options).returncode == 0
    assert run(image("2026.1"), "db-sync", options=options).returncode == 1


AT_AN_OLD_REVISION = """
from entrypoint import database, options
from placement import db_api
from placement.db.sqlalchemy import migration
db_api.configure(options.load())
migration.upgrade("b5c396305c25")
"""


def test_database_without_a_record_gets_one(
    postgresql: DatabaseServer, newest: str, run: Run
) -> None:
    """Other deployments leave no record. The schema of this one is old, too."""
    env = {CONNECTION: postgresql.new_database()}
    made = run(newest, "-I", "-c", AT_AN_OLD_REVISION, env=env, options=(PYTHON,))
    assert made.returncode == 0, made.stderr
    assert comment(postgresql, env) is None
    behind = run(newest, "online-data-migrations", env=env)
    assert "the database's schema is older than this release" in behind.stderr
    checked = run(newest, "upgrade-check", env=env)
    assert "Upgrade Check Results" in checked.stdout, checked.stderr
    assert run(newest, "db-sync", env=env).returncode == 0
    assert comment(postgresql, env) == "placement 16.0.0"


@pytest.mark.parametrize("option", ["DB_SYNC", "OS_PLACEMENT_DATABASE__SYNC_ON_STARTUP"])
def test_schema_of_a_later_release_is_used_and_not_changed(
    postgresql: DatabaseServer, newest: str, engine: str, run: Run, option: str
) -> None:
    """The image does not know the revision."""
    env = {CONNECTION: postgresql.new_database()}
    assert run(newest, "db-sync", env=env).returncode == 0
    with postgresql.connect(env[CONNECTION]).begin() as database:
        database.execute(sa.text("COMMENT ON TABLE alembic_version IS 'placement 17.0.0'"))
        database.execute(sa.text("UPDATE alembic_version SET version_num = 'of 2027.1'"))
    with serving(engine, newest, {**env, "DB_SYNC": "False", option: "True"}) as old:
        assert old.client.get("/resource_providers").status_code == 200
    assert comment(postgresql, env) == "placement 17.0.0"
