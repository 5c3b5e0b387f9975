"""The database's Job: what fails in it stops the Helm release, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.conftest import NewSite
from tests.cluster.test_deploy import BEHIND_THE_GATEWAY
from tests.support.servers import PASSWORD
from tests.support.site import OLD_AND_NEW, Site

OLD, NEW = OLD_AND_NEW
pytestmark = pytest.mark.xdist_group("migrations")


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Iterator[Site]:
    """Deploy the newest release."""
    answers = {"database": "postgresql", "allow_noauth2_exposure": True, **BEHIND_THE_GATEWAY}
    with new_site(answers) as made:
        made.make("deploy")
        yield made


def status(site: Site, gateway: str) -> int:
    """Ask for something from the database."""
    headers = {"host": site.host, "x-auth-token": "admin"}
    return httpx.get(f"{gateway}/resource_providers", headers=headers, timeout=30).status_code


def test_a_release_that_is_refused_changes_nothing(site: Site, gateway: str) -> None:
    before = set(site.pods())
    done = site.try_make("deploy", f"HELM_ARGS=--set image.tag={OLD}")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"the database is of release {NEW} already" in said
    assert set(site.pods()) == before
    assert site.restarts() == 0
    assert status(site, gateway) == 200
    site.make("deploy")
    assert set(site.pods()) == before


def test_a_secret_that_is_missing_is_named(site: Site) -> None:
    other = "HELM_ARGS=--set secretSettings.OS_PLACEMENT_DATABASE__CONNECTION.name=not-made-yet"
    done = site.try_make("deploy", "HELM_RELEASE=other", other)
    assert done.returncode != 0
    assert "/etc/placement/secrets/not-made-yet/connection" in done.stdout + done.stderr
    assert site.get("deployment", "--selector=app.kubernetes.io/instance=other")["items"] == []


def test_two_helm_releases_in_one_namespace(site: Site, gateway: str) -> None:
    """The other one has its database made up by a plain Job, beside its pods."""
    create = "CREATE DATABASE other OWNER placement"
    site.kubectl("exec", "deployment/postgresql", "--", "psql", "--command", create, "postgres")
    url = f"postgresql+psycopg2://placement:{PASSWORD}@postgresql/other"
    site.kubectl("create", "secret", "generic", "other", f"--from-literal=connection={url}")
    before = set(site.pods())
    connection = "secretSettings.OS_PLACEMENT_DATABASE__CONNECTION.name=other"
    options = f"HELM_ARGS=--set migrations.mode=job,httpRoute.enabled=false,{connection}"
    site.make("e2e", "HELM_RELEASE=other", options)
    assert len(site.pods("other")) == 1
    service = site.get("endpointslices", f"--selector=kubernetes.io/service-name={site.name}")
    served = {it["targetRef"]["name"] for piece in service["items"] for it in piece["endpoints"]}
    assert served == before
    site.helm("uninstall", "other", "--wait")
    assert set(site.pods()) == before
    assert status(site, gateway) == 200


def test_notes_tell_what_is_missing(site: Site) -> None:
    name = "secretSettings.OS_PLACEMENT_DATABASE__CONNECTION"
    for option, missing in (
        (f"{name}.name=nowhere", "the Secret nowhere with the key connection"),
        (f"{name}.key=url", "the key url in the Secret placement-database"),
    ):
        options = ("--set", f"{option},migrations.mode=none,httpRoute.enabled=false")
        notes = site.helm("install", "third", "placement-chart", *options)
        site.helm("uninstall", "third", "--wait")
        assert f"MISSING: {missing}." in notes
