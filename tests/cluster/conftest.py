"""A real cluster, which KUBECONFIG names. The command CLUSTER_LOAD loads image archives into it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from copier import run_copy

from extensions.deployment import Deployment
from tests.support.certificates import certificate, write_ca
from tests.support.containers import IMAGES, succeed
from tests.support.servers import TARGETS, DevImage
from tests.support.sharing import Once
from tests.support.site import (
    GATEWAY,
    KEYSTONE_SECRET,
    RESTRICTED,
    Site,
    database_secret,
)
from tests.support.template import Answers, commit_all

# Several deployments share two cores, so a large request would keep pods waiting.
SMALL_REQUESTS = "resources:\n  requests:\n    cpu: 50m\n"


class NewSite(Protocol):
    """What `new_site` returns."""

    def __call__(self, answers: Answers, *releases: str) -> AbstractContextManager[Site]:
        """Make a site for these answers, whose pods may run the other releases later."""


@pytest.fixture(scope="session")
def load_image(
    engine: str, once: Once, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], None]:
    """Load an image into the cluster, once for all workers."""
    for variable in ("KUBECONFIG", "CLUSTER_LOAD"):
        if not os.environ.get(variable):
            pytest.fail(f"{variable} is not set: see `make test-cluster` in CONTRIBUTING.md")

    def load(image: str) -> None:
        archive = tmp_path_factory.mktemp("archive") / "image.tar"

        def save_and_load() -> None:
            succeed(engine, "save", "--output", archive, image)
            succeed(*os.environ["CLUSTER_LOAD"].split(), archive)
            archive.unlink()

        once(f"cluster-{image.replace('/', '-')}", save_and_load)

    return load


@pytest.fixture(scope="session")
def gateway(load_image: Callable[[str], None]) -> str:
    """Return the address of the cluster's Gateway, which also serves its Ingresses."""
    name, namespace = GATEWAY
    found = Site(Path.cwd(), namespace).get("gateway", name)
    address: str = found["status"]["addresses"][0]["value"]
    return f"http://{address}"


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a CA that signs the certificates of Ingresses."""
    folder = tmp_path_factory.mktemp("ca")
    write_ca(folder)
    return folder


@pytest.fixture(scope="session")
def new_site(
    copier_template: Path,
    image: Callable[[str], str],
    dev_image: DevImage,
    load_image: Callable[[str], None],
    ca: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> NewSite:
    """Render a repository and create its namespace with servers and Secrets; delete it later."""

    @contextmanager
    def new(answers: Answers, *releases: str) -> Iterator[Site]:
        name = f"placement-{uuid.uuid4().hex[:8]}"
        answers = {"project_name": name, "image_repository": IMAGES, **answers}
        deployment = Deployment(**answers)
        answers = {**answers, "host": f"{name}.local"} if deployment.exposed else answers
        repository = tmp_path_factory.mktemp("site") / name
        run_copy(
            str(copier_template), repository, data=answers, defaults=True, unsafe=True, quiet=True
        )
        (repository / "values.local.yaml").write_text(SMALL_REQUESTS, encoding="utf-8")
        commit_all(repository)
        servers = deployment.dev_services
        for built in (*map(dev_image, servers), *map(image, {deployment.release, *releases})):
            load_image(built)
        site = Site(repository, name)
        try:
            site.kubectl("create", "namespace", name)
            site.kubectl("label", "namespace", name, RESTRICTED)
            site.start_servers(*servers)
            admin = deployment.database_admin_secret
            if deployment.database in TARGETS and not admin:
                site.create_database(deployment.database)
            if deployment.cluster_secrets:
                secrets = KEYSTONE_SECRET | database_secret(deployment.database, admin)
                site.create_secrets(secrets | certificate(ca, site.host))
            yield site
        finally:
            site.kubectl("delete", "namespace", name, "--wait=false")

    return new
