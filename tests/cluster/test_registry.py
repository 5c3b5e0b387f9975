"""Nodes pull the pinned image from a registry with a password, which runs in the cluster.

Nodes and this machine reach it at the same port of their own loopback addresses: through a node
port, and through a port-forward.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.conftest import NewSite
from tests.support.containers import IMAGES, NEWEST, RELEASES
from tests.support.registries import USER, credentials
from tests.support.rotation import change_secret
from tests.support.servers import PASSWORD, SUPPORT_IMAGES, SupportImage
from tests.support.site import BEHIND_THE_GATEWAY, Site, figures, no_request_fails
from tests.support.template import commit_all, load

SECRET = "registry-credentials"
# Its password is that of the first user, because htpasswd gets the same hash.
OTHER_USER = f"{USER}-b"
ANSWERS: dict[str, Any] = {
    "database": "postgresql",
    "replicas": 2,
    "allow_noauth2_exposure": True,
    **BEHIND_THE_GATEWAY,
}


def test_nodes_pull_the_pinned_image(
    new_site: NewSite,
    built: Callable[[str], Path],
    support_image: SupportImage,
    load_image: Callable[[str], None],
    gateway: str,
    engine: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """A rebuilt image replaces the pods without a failed request, and the same one does not.

    Nodes pull the rebuilt image with another login. The first one is no longer valid.
    """
    load_image(support_image("registry"))
    with new_site(ANSWERS) as site, registry(site) as address:
        answers = (f"image_repository={address}/placement", f"image_pull_secret={SECRET}")
        site.set_answers(*answers)
        shutil.copy(built(NEWEST) / "sbom.cdx.json", site.repository)
        env = {**credentials(tmp_path), "REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
        env["ENGINE"] = engine
        site.make("login", env=env)
        site.make("push", f"IMAGE={IMAGES}:{NEWEST}", env=env)
        site.make("deploy", env=env)
        first = pinned(site)
        check_pods(site, f"{address}/placement@{first['digest']}")

        revisions = site.revisions()
        site.make("deploy", env=env)
        assert site.revisions() == revisions

        release = site.helm("history", site.name)
        refused = site.try_make("deploy", f"RELEASE={RELEASES[0]}", env=env)
        assert refused.returncode != 0
        assert f"has the release {NEWEST}, but this repository has {RELEASES[0]}" in refused.stderr
        assert site.helm("history", site.name) == release

        with (site.repository / "shared/startup.sh").open("a", encoding="utf-8") as file:
            file.write("# A fix\n")
        commit_all(site.repository)
        site.make("build", "push", env=env)
        with no_request_fails(gateway, site.host) as loads:
            rotate_login(site, address)
            site.make("login", env={**env, "REGISTRY_USER": OTHER_USER})
            started = time.monotonic()
            site.make("deploy", env=env)
            seconds = time.monotonic() - started
        record_property("figures", f"{figures(loads)}; deployed after {seconds:.0f} s")
        second = pinned(site)
        assert second != first
        check_pods(site, f"{address}/placement@{second['digest']}")
        shown = json.loads(site.helm("history", site.name, "--output=json"))
        images = [revision["description"] for revision in shown]
        assert images == [f"Image {image['tag']}" for image in (first, first, second)]
        subprocess.run([engine, "rmi", f"{address}/placement:{second['tag']}"], check=False)


def pinned(site: Site) -> dict[str, str]:
    """Return the image in values.image.yaml."""
    return dict(load(site.repository / "values.image.yaml")["image"])


def rotate_login(site: Site, address: str) -> None:
    """Replace the user of the registry and of the Secret, as docs/rotation.md describes."""
    auths = {address: {"username": OTHER_USER, "password": PASSWORD}}
    change_secret(site, SECRET, **{".dockerconfigjson": json.dumps({"auths": auths})})
    users = (SUPPORT_IMAGES / "registry/htpasswd").read_text(encoding="utf-8")
    write = ("exec", "deployment/registry", "--", "sh", "-euc", 'echo "$0" >/etc/registry/htpasswd')
    site.kubectl(*write, users.replace(USER, OTHER_USER).strip())


def check_pods(site: Site, image: str) -> None:
    """All pods run this image, and a node has pulled it."""
    pods = site.pods().values()
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {image}
    assert len(pods) == ANSWERS["replicas"]
    events = site.get("events", "--field-selector", "reason=Pulled")["items"]
    assert any(f'Successfully pulled image "{image}"' in event["message"] for event in events)


@contextmanager
def registry(site: Site) -> Iterator[str]:
    """Start a registry in the namespace, and return its address for nodes and this machine."""
    site.start_servers("registry")
    site.kubectl("patch", "service", "registry", "--patch", '{"spec": {"type": "NodePort"}}')
    port = site.get("service", "registry")["spec"]["ports"][0]["nodePort"]
    address = f"127.0.0.1:{port}"
    login = (f"--docker-server={address}", f"--docker-username={USER}")
    password = f"--docker-password={PASSWORD}"
    site.kubectl("create", "secret", "docker-registry", SECRET, *login, password)
    command = ["kubectl", "--namespace", site.name, "port-forward", "service/registry"]
    with subprocess.Popen([*command, f"{port}:5000"], stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout
            assert "Forwarding" in forward.stdout.readline()
            yield address
        finally:
            forward.terminate()
