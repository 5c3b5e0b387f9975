"""The rendered README says what is true of this deployment."""

from __future__ import annotations

import re
import subprocess

from tests.render.conftest import Repo
from tests.support.variants import every_variant


def targets(repo: Repo) -> set[str]:
    """What bare `make` says can be made."""
    done = subprocess.run(["make"], cwd=repo.path, text=True, capture_output=True, check=True)
    return set(re.findall(r"^  ([a-z0-9-]+)  ", done.stdout, re.MULTILINE))


@every_variant
def test_every_target_that_is_named_can_be_made(repo: Repo) -> None:
    """Both ways: what the README tells to make is there, and make alone lists all that is."""
    readme = (repo.path / "README.md").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", readme, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", (repo.path / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert named
    assert named <= targets(repo)
    assert targets(repo) == set(phony[1].split())


@every_variant
def test_the_table_of_settings_is_the_answers(repo: Repo) -> None:
    """Each question that was asked, with its answer, and no other."""
    readme = (repo.path / "README.md").read_text()
    _, _, settings = readme.partition("\n## Settings\n")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*)`|none) \| .+\? \|$", settings, re.MULTILINE)
    assert dict(rows) == repo.deployment.answers


@every_variant
def test_files_that_are_named_are_there(repo: Repo) -> None:
    """A path in backticks is a path of this repository, or one of the user's own."""
    readme = (repo.path / "README.md").read_text()
    # Places of the user, and what `make` writes.
    own = {
        "compose.override.yaml",
        ".gitlab-ci.local.yml",
        "dev/stack/keystone/clouds.yaml",
        "devstack/placement.env",
        "load/",
    }
    named = set(re.findall(r"`([a-z.][\w./-]*(?:\.(?:ya?ml|txt|md|sh|ini)|/))`", readme))
    assert "placement-chart/" in named
    assert [name for name in named - own if not (repo.path / name).exists()] == []


@every_variant
def test_the_picture_has_this_deployments_parts_and_no_other(repo: Repo) -> None:
    """As far as Mermaid's nodes go: Keystone, memcached and the way in are drawn where they are."""
    readme = (repo.path / "README.md").read_text()
    picture = readme.partition("```mermaid\n")[2].partition("```")[0]
    nodes = set(re.findall(r"(?:--> |^ +)(\w+)[(\[]", picture, re.MULTILINE))
    it = repo.deployment
    expected = {"client", "placement", "database"}
    expected |= {"keystone"} if it.keystone else set()
    expected |= {"memcached"} if it.keystone_memcached_servers else set()
    expected |= {it.exposure} if it.exposed else set()
    assert nodes == expected


@every_variant
def test_a_database_url_is_shown_where_there_is_a_server(repo: Repo) -> None:
    """With the driver that the image has for it; SQLite needs none."""
    readme = (repo.path / "README.md").read_text()
    drivers = {"postgresql": {"postgresql+psycopg2"}, "mysql": {"mysql+pymysql"}, "sqlite": set()}
    assert set(re.findall(r"(\w+\+\w+)://", readme)) == drivers[repo.deployment.database]
