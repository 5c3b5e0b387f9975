"""The targets of a rendered repository, which run the command in the image."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.stack.zones.conftest import Zones
from tests.support.certificates import signed, write_ca
from tests.support.containers import Output, Server, Start, readable
from tests.support.repositories import make
from tests.support.template import Render

Make = Callable[..., Output]


@pytest.fixture
def zones_make(engine: str, newest: str, render: Render, tmp_path: Path) -> Make:
    """Run such a target in a new repository."""
    repository = tmp_path / "repository"
    shutil.copytree(render({}), repository)

    def zones_make(action: str, *arguments: str, **environment: str) -> Output:
        given = (f"ENGINE={engine}", f"IMAGE={newest}", *arguments)
        return make(repository, f"zones-{action}", *given, **environment)

    return zones_make


def test_targets_use_the_placement_at_url(
    zones: Zones, zones_make: Make, server: Server, tmp_path: Path
) -> None:
    """Exported OS_CLOUD and OS_CACERT are for OpenStack's client, and change nothing here."""
    data = zones.two_zones()
    host = zones.new_host("compute-kvm-1")
    (tmp_path / "repository/zones.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    url = str(server.client.base_url)

    apply = zones_make("apply", f"URL={url}", OS_CLOUD="production")
    assert apply.returncode == 0, apply.stderr
    assert apply.stderr.startswith(f"Placement at {url}\n")
    kvm = data["zones"]["kvm"]
    assert zones.traits(host) == {*kvm["traits"]}
    export = zones_make("export", f"URL={url}")
    aggregates = [zone["aggregate"] for zone in yaml.safe_load(export.stdout)["zones"].values()]
    assert kvm["aggregate"]["uuid"] in {aggregate["uuid"] for aggregate in aggregates}
    local = zones_make("plan", "PORT=9", OS_CACERT="/no/such/file")
    assert local.stderr.startswith("Placement at http://127.0.0.1:9\n")


def test_file_that_the_shell_has_emptied_is_refused(zones_make: Make, tmp_path: Path) -> None:
    """As in `make zones-export >zones.yaml`, which would lose the owner of the pools."""
    (tmp_path / "repository/zones.yaml").write_text("", encoding="utf-8")
    export = zones_make("export", "URL=http://127.0.0.1:9")
    assert (export.returncode, export.stdout) == (2, "")
    assert "zones.yaml is empty: restore it, and export to another file" in export.stderr


def test_missing_file_is_reported(zones_make: Make, tmp_path: Path) -> None:
    (tmp_path / "repository/zones.yaml").unlink()
    plan = zones_make("plan", "URL=http://127.0.0.1:9")
    assert plan.stderr.startswith("zones.yaml does not exist: restore it, or create an empty file")


def test_cloud_is_used_with_its_certificate(zones_make: Make, tmp_path: Path) -> None:
    """The other cloud's certificate may be missing."""
    certificate = tmp_path / "ca.pem"
    certificate.write_text("a certificate that is not needed for http", encoding="utf-8")
    (tmp_path / "repository/clouds.yaml").write_text(
        f"""\
clouds:
  production:
    auth: {{auth_url: "http://127.0.0.1:9/v3", username: a, password: b}}
    cacert: {certificate}  # the region's own CA
  other: {{cacert: /no/such/file}}
""",
        encoding="utf-8",
    )
    cloud = "OS_CLOUD=production"
    plan = zones_make("plan", cloud)
    assert plan.stderr.startswith("Placement in the cloud production of clouds.yaml\n")
    assert "connection to http://127.0.0.1:9/v3" in plan.stderr
    both = zones_make("plan", cloud, "URL=http://127.0.0.1:1")
    assert "Leave out one of them" in both.stderr
    missing = zones_make("plan", cloud, OS_CLIENT_CONFIG_FILE="/no/such/file")
    assert "/no/such/file does not exist" in missing.stderr


def test_certificate_of_a_private_ca_is_verified(
    zones: Zones,
    zones_make: Make,
    start: Start,
    newest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OS_CACERT names the CA, as for OpenStack's clients."""
    folder = tmp_path / "tls"
    folder.mkdir()
    write_ca(folder)
    signed(folder, "localhost", folder)
    readable(folder)
    tls = {"TLS_CERT": "/tls/tls.crt", "TLS_KEY": "/tls/tls.key"}
    server = start(newest, tls, (f"--volume={folder}:/tls:ro",), scheme="https")
    url = f"https://localhost:{server.client.base_url.port}"

    monkeypatch.setenv("OS_ENDPOINT", url)
    assert "certificate verify failed" in zones.run("plan", {}).err
    plan = zones_make("plan", f"URL={url}", OS_CACERT="../tls/ca.crt")
    assert "No changes" in plan.stdout, plan.stderr
    missing = zones_make("plan", f"URL={url}", "OS_CACERT=absent.crt")
    assert "OS_CACERT=absent.crt is not a file" in missing.stderr
