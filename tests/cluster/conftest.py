"""A real cluster: KUBECONFIG says where it is, CLUSTER_LOAD gives it an archive of an image."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from copier import run_copy

from extensions.deployment import Deployment
from tests.support.cluster_servers import SERVERS
from tests.support.containers import succeed
from tests.support.servers import DevImage
from tests.support.sharing import Once
from tests.support.site import IMAGES, KEYSTONE, OLD_AND_NEW, RESTRICTED, Site, database_url
from tests.support.template import Answers, commit_all

NewSite = Callable[[Answers], AbstractContextManager[Site]]
# The Gateway of the cluster, and the class of its Ingresses.
GATEWAY = ("gateway", "gateway")
# Several deployments share two cores: what they ask for must not keep one of them waiting.
LITTLE = "resources:\n  requests:\n    cpu: 100m\n"


@pytest.fixture(scope="session")
def cluster(
    engine: str,
    image: Callable[[str], str],
    dev_image: DevImage,
    once: Once,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Give the cluster all images, once for all workers."""
    for variable in ("KUBECONFIG", "CLUSTER_LOAD"):
        if not os.environ.get(variable):
            pytest.fail(f"{variable} is not set: CONTRIBUTING.md says which cluster the tests want")

    def load_all() -> None:
        for name in [*map(image, OLD_AND_NEW), *map(dev_image, SERVERS)]:
            archive = tmp_path_factory.mktemp("archive") / "image.tar"
            succeed(engine, "save", "--output", archive, name)
            succeed(*os.environ["CLUSTER_LOAD"].split(), archive)
            archive.unlink()

    once("cluster-images", load_all)


@pytest.fixture(scope="session")
def gateway() -> str:
    """Return the address of the cluster's Gateway, which serves its Ingresses, too."""
    name, namespace = GATEWAY
    command = ["kubectl", "--namespace", namespace, "get", "gateway", name, "--output", "json"]
    found = json.loads(subprocess.check_output(command, text=True))
    address: str = found["status"]["addresses"][0]["value"]
    return f"http://{address}"


@pytest.fixture(scope="session")
def new_site(
    copier_template: Path, cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> NewSite:
    """Render a repository, and make its namespace with servers and Secrets, gone in the end."""

    @contextmanager
    def new(answers: Answers) -> Iterator[Site]:
        name = f"placement-{uuid.uuid4().hex[:8]}"
        answers = {"project_name": name, "image_repository": IMAGES, **answers}
        deployment = Deployment(**answers)
        answers = {**answers, "host": f"{name}.local"} if deployment.exposed else answers
        repository = tmp_path_factory.mktemp("site") / name
        run_copy(
            str(copier_template), repository, data=answers, defaults=True, unsafe=True, quiet=True
        )
        (repository / "values.local.yaml").write_text(LITTLE, encoding="utf-8")
        commit_all(repository)
        site = Site(repository, name)
        try:
            site.kubectl("create", "namespace", name)
            site.kubectl("label", "namespace", name, RESTRICTED)
            site.start(*deployment.dev_services)
            if deployment.cluster_secrets:
                site.make_secrets(KEYSTONE | database_url(deployment.database))
            yield site
        finally:
            site.kubectl("delete", "namespace", name, "--wait=false")

    return new
