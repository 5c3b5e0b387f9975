"""The db-sync Job: its failure stops the Helm release and changes nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.conftest import NewSite
from tests.support.deployments import changed_secret, run_e2e
from tests.support.servers import PASSWORD
from tests.support.site import BEHIND_THE_GATEWAY, OLD_AND_NEW, Site, database_secret

OLD, NEW = OLD_AND_NEW
CONNECTION = "secretSettings.OS_PLACEMENT_DATABASE__CONNECTION"
PARTS = (
    "settings.DATABASE_HOST=postgresql,settings.DATABASE_NAME=other,"
    "secretSettings.DATABASE_USER.name=other,secretSettings.DATABASE_USER.key=username,"
    "secretSettings.DATABASE_PASSWORD.name=other,secretSettings.DATABASE_PASSWORD.key=password"
)
# The tests share a site, so one worker runs them in this order.
pytestmark = pytest.mark.xdist_group("migrations")


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy the newest release."""
    answers = {"database": "postgresql", "allow_noauth2_exposure": True, **BEHIND_THE_GATEWAY}
    with new_site(answers, OLD) as site:
        site.make("deploy")
        yield site


def get_status(site: Site, gateway: str) -> int:
    """Send a request that needs the database, and return its status."""
    headers = {"host": site.host, "x-auth-token": "admin"}
    return httpx.get(f"{gateway}/resource_providers", headers=headers, timeout=30).status_code


def test_a_refused_release_changes_nothing(site: Site, gateway: str) -> None:
    before = set(site.pods())
    done = site.try_make("deploy", f"HELM_ARGS=--set image.tag={OLD}")
    assert done.returncode != 0
    assert f"the database is at release {NEW} and cannot go back" in done.stdout + done.stderr
    assert set(site.pods()) == before
    assert site.restarts() == 0
    assert get_status(site, gateway) == 200
    site.make("deploy")
    assert set(site.pods()) == before


def test_a_missing_secret_is_named(site: Site) -> None:
    """By `make deploy` before it changes anything, and by the Job if Helm runs without make."""
    option = f"{CONNECTION}.name=missing"
    admin = "database.adminSecret=missing-admin"
    done = site.try_make("deploy", "HELM_RELEASE=other", f"HELM_ARGS=--set {option},{admin}")
    assert done.returncode != 0
    missing = ("missing", "missing-admin")
    named = "".join(f"  the Secret {name} with connection\n" for name in missing)
    assert f"{named}Nothing was deployed." in done.stderr
    values = ("--values", "values.yaml", "--set", f"{option},httpRoute.enabled=false")
    install = ("helm", "--namespace", site.name, "install", "other", "placement-chart", *values)
    done = site.run(*install, "--rollback-on-failure")
    assert done.returncode != 0
    assert "/etc/placement/secrets/missing/connection" in done.stdout + done.stderr
    assert site.get("deployment", "--selector=app.kubernetes.io/instance=other")["items"] == []


def test_a_refused_login_to_the_database_replaces_no_pod(site: Site) -> None:
    before = set(site.pods())
    wrong = database_secret("postgresql")["connection"].replace(PASSWORD, "wrong")
    with changed_secret(site, "placement-database", "connection", wrong):
        done = site.try_make("deploy")
    assert done.returncode != 0
    log = (site.repository / "deploy.log").read_text(encoding="utf-8")
    for printed in (done.stdout, log):
        assert 'password authentication failed for user "placement"' in printed
        assert "/etc/placement/secrets/placement-database/connection" in printed
        assert "wrong" not in printed
    assert set(site.pods()) == before


def test_two_helm_releases_share_a_namespace(site: Site, gateway: str) -> None:
    """A plain Job creates the schema of the second one while its pods wait.

    The second one composes its database URL of parts.
    """
    create = "CREATE DATABASE other OWNER placement"
    site.kubectl("exec", "deployment/postgresql", "--", "psql", "--command", create, "postgres")
    keys = (f"--from-literal=password={PASSWORD}", "--from-literal=username=placement")
    site.kubectl("create", "secret", "generic", "other", *keys)
    before = set(site.pods())
    options = f"--set migrations.mode=job,httpRoute.enabled=false,{CONNECTION}=null,{PARTS}"
    run_e2e(site, arguments=("HELM_RELEASE=other", f"HELM_ARGS={options}"))
    assert len(site.pods("other")) == 1
    service = site.get("endpointslices", f"--selector=kubernetes.io/service-name={site.name}")
    endpoints = [endpoint for piece in service["items"] for endpoint in piece["endpoints"]]
    assert {endpoint["targetRef"]["name"] for endpoint in endpoints} == before
    site.helm("uninstall", "other", "--wait")
    assert set(site.pods()) == before
    assert get_status(site, gateway) == 200


def test_notes_name_what_is_missing(site: Site) -> None:
    """Helm looks up the Secrets without installing anything."""
    for option, missing in (
        (f"{CONNECTION}.name=missing", "the Secret missing with the key connection"),
        (f"{CONNECTION}.key=url", "the key url in the Secret placement-database"),
        ("database.adminSecret=missing", "the Secret missing with the key connection"),
    ):
        values = ("--values", "values.yaml", "--set", f"{option},httpRoute.enabled=false")
        notes = site.helm("install", "third", "placement-chart", "--dry-run=server", *values)
        assert f"MISSING: {missing}." in notes
