"""The content of the image."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from tests.image.conftest import certificates
from tests.support.containers import NEWEST, PYTHON, RELEASES, Output
from tests.support.servers import BASE_IMAGE
from tests.support.template import ROOT, Render, load

LIMIT = 95_000_000
UNCHECKED_HASH = 0b01


class Content(NamedTuple):
    """The settings and the files of an image, and the SBOM of `make build`."""

    release: str
    settings: dict[str, Any]
    archive: tarfile.TarFile
    files: dict[str, tarfile.TarInfo]
    sbom: str

    def data(self, path: str, size: int | None = None) -> bytes:
        """Return a file's content, or its first bytes."""
        file = self.archive.extractfile(self.files[path])
        assert file
        return file.read() if size is None else file.read(size)

    def text(self, path: str) -> str:
        """Return a file's text."""
        return self.data(path).decode()

    def debian_packages(self) -> dict[str, dict[str, str]]:
        """Return the fields of each of Debian's packages."""
        paragraphs = self.text("var/lib/dpkg/status").strip().split("\n\n")
        read = [dict(re.findall(r"^([\w-]+): (.*)$", text, re.M)) for text in paragraphs]
        packages = {fields["Package"]: fields for fields in read}
        assert len(packages) == len(paragraphs)
        return packages

    def python_packages(self) -> dict[str, str]:
        """Return the version of each of Python's packages."""
        found: dict[str, str] = {}
        for metadata in self.matching(r"opt/placement/lib/.*\.dist-info/METADATA"):
            fields = dict(re.findall(r"^(Name|Version): (.*)$", self.text(metadata), re.M))
            found[canonicalize_name(fields["Name"])] = fields["Version"]
        return found

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that match a pattern as a whole."""
        return [path for path in self.files if re.fullmatch(pattern, path)]


@pytest.fixture(
    scope="module",
    # One worker exports each image.
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES],
)
def content(
    request: pytest.FixtureRequest,
    engine: str,
    image: Callable[[str], str],
    built: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Content]:
    """Export the image of each release."""
    name = image(request.param)
    sbom = (built(request.param) / "sbom.cdx.json").read_text(encoding="utf-8")
    inspected = json.loads(subprocess.check_output([engine, "image", "inspect", name]))[0]
    container = subprocess.check_output([engine, "create", name], text=True).strip()
    archive = tmp_path_factory.mktemp("content") / "image.tar"
    try:
        subprocess.run([engine, "export", "--output", archive, container], check=True)
    finally:
        subprocess.run([engine, "rm", container], capture_output=True, check=True)
    with tarfile.open(archive) as tar:
        files = {member.name.removeprefix("./"): member for member in tar}
        yield Content(request.param, inspected, tar, files, sbom)
    archive.unlink()


def test_image_is_small(content: Content) -> None:
    assert content.settings["Size"] <= LIMIT
    assert sum(member.size for member in content.files.values()) <= LIMIT


FORBIDDEN = (
    r"(^|/)s?bin/(gcc|cc|ld|as|make|apt|apt-get|dpkg|pip\d*|easy_install|perl|curl|wget|bash)$",
    r"/(site|dist)-packages/(pip|setuptools|pkg_resources|wheel)(/|-|$)",
    r"(^|/)tests(/|$)",
    r"\.(a|h|c|pyx|pxd|deb|whl)$",
    r"^var/(cache|lib/apt)/.",
    r"^(root|tmp)/.",
)


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_build_leaves_nothing(pattern: str, content: Content) -> None:
    assert [path for path in content.files if re.search(pattern, path)] == []


def test_no_file_gains_privileges(content: Content) -> None:
    assert [path for path, member in content.files.items() if member.mode & 0o6000] == []


def test_every_file_is_readable_for_everybody(content: Content) -> None:
    closed = [
        path
        for path, member in content.files.items()
        if member.isfile() and not member.mode & 0o004 and not path.startswith("etc/")
    ]
    assert closed == []


def test_every_module_is_compiled_and_never_recompiled(content: Content) -> None:
    """Only Placement and the entry point keep their sources, which Python does not compare."""
    packages = r"opt/placement/lib/python3\.\d+/site-packages"
    sources = content.matching(r"(usr/lib/python3\.|opt/).*\.py")
    assert len(sources) > 80
    for source in sources:
        assert re.match(rf"{packages}/(placement|entrypoint)/", source), source
        folder, _, name = source.rpartition("/")
        (compiled,) = content.matching(rf"{re.escape(folder)}/__pycache__/{name[:-3]}\.cpy.*\.pyc")
        assert content.data(compiled, 16)[4] == UNCHECKED_HASH, source
    assert len(content.matching(r"(usr/lib/python3\.|opt/).*/\w+\.pyc")) > 1500


def test_entry_point_is_in_the_virtual_environment(content: Content) -> None:
    (main,) = content.matching(r".*/entrypoint/__main__\.py")
    assert re.match(r"opt/placement/lib/python3\.\d+/site-packages/entrypoint/", main)
    assert content.files["startup.sh"].mode & 0o777 == 0o755
    assert {"entrypoint", "shared"}.isdisjoint(content.files)


def test_every_patch_is_applied(content: Content, render: Render) -> None:
    """The build skips none of the patches that a repository of this release has."""
    (placement,) = content.matching(r"opt/placement/lib/python3\.\d+/site-packages/placement")
    expected: dict[str, list[str]] = {}
    for path in sorted((render({"release": content.release}) / "image/patches").iterdir()):
        for change in path.read_text(encoding="utf-8").split("\n--- ")[1:]:
            (target,) = re.findall(r"^\+\+\+ b/placement(/.*)$", change, re.M)
            removed = re.findall(r"^-(.*)$", change, re.M)
            # A later patch may change what an earlier one has added.
            lines = [line for line in expected.get(target, []) if line not in removed]
            expected[target] = [*lines, *re.findall(r"^\+(?!\+\+ )(.*)$", change, re.M)]
    for target, added in expected.items():
        lines = content.text(placement + target).splitlines()
        assert [line for line in added if line not in lines] == []


def test_user_is_not_root(content: Content) -> None:
    assert content.settings["Config"]["User"] == "42424:42424"
    assert re.search(r"^placement:x:42424:42424:", content.text("etc/passwd"), re.M)
    data = content.files["var/lib/placement"]
    assert (data.uid, data.gid, data.mode & 0o070) == (42424, 0, 0o070)
    assert content.files["cats.db"].linkname == "var/lib/placement/cats.db"
    others = [
        path
        for path, member in content.files.items()
        if member.uid != 0 and path != "var/lib/placement"
    ]
    assert others == []


def test_labels_name_the_release(content: Content, render: Render) -> None:
    facts = yaml.safe_load((ROOT / f"releases/{content.release}.yml").read_text(encoding="utf-8"))
    labels = content.settings["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == facts["placement"]
    assert labels["org.opencontainers.image.ref.name"] == content.release
    assert "org.opencontainers.image.revision" not in labels  # it is not in a git repository
    assert labels["org.opencontainers.image.title"] == "placement"
    answers = load(render({"release": content.release}) / ".copier-answers.yml")
    assert labels["org.opencontainers.image.base.name"] == answers["base_image"]
    assert "org.opencontainers.image.created" not in labels


def test_scanners_find_debians_packages(content: Content) -> None:
    packages = content.debian_packages()
    for fields in packages.values():
        assert fields["Status"] == "install ok installed"
        assert fields["Version"]
        assert fields["Architecture"]
    for needed in ("base-files", "dash", "libc6", "libpq5", "libsqlite3-0", "libpcre2-8-0"):
        assert needed in packages
    assert any(re.fullmatch(r"python3\.\d+-minimal", name) for name in packages)
    assert re.search(r"^ID=debian$", content.text("usr/lib/os-release"), re.M)
    documented = {path.split("/")[3] for path in content.files if path.startswith("usr/share/doc/")}
    assert packages.keys() <= documented


def test_scanners_find_pythons_packages(content: Content) -> None:
    lock = (ROOT / f"releases/{content.release}.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.M))
    found = content.python_packages()
    records = content.matching(r"opt/placement/lib/.*\.dist-info/RECORD")
    assert len(records) == len(found)
    assert all(content.files[record].size > 0 for record in records)
    assert found.items() <= locked.items()
    # The image leaves out the first two; the others are locked for other versions of Python.
    missing = locked.keys() - found.keys()
    assert missing <= {"setuptools", "greenlet", "tzdata", "legacy-cgi"}


def test_sbom_lists_each_package_and_what_is_linked_into_it(content: Content) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.sbom) is None
    sbom = json.loads(content.sbom)
    image_id = sbom["metadata"]["component"]["version"]
    assert image_id.removeprefix("sha256:") == content.settings["Id"].removeprefix("sha256:")
    found = {component["purl"]: component for component in sbom["components"]}
    purls = [PackageURL.from_string(purl) for purl in found]
    assert [purl.to_string() for purl in purls] == list(found)
    assert sbom["dependencies"] == [{"ref": image_id, "dependsOn": list(found)}]

    debian = content.debian_packages()
    listed = {purl.name: purl.version for purl in purls if purl.type == "deb"}
    assert listed == {name: fields["Version"] for name, fields in debian.items()}
    pypi = {canonicalize_name(purl.name): purl.version for purl in purls if purl.type == "pypi"}
    assert pypi == content.python_packages()
    assert len(purls) == len(listed) + len(pypi)
    [libc] = [purl for purl in purls if purl.name == "libc6"]
    assert libc.namespace == "debian"
    assert libc.qualifiers["upstream"] == "glibc"
    assert libc.qualifiers["arch"] == debian["libc6"]["Architecture"]
    assert re.fullmatch(r"debian-\d+", libc.qualifiers["distro"])
    [cryptography] = [found[purl.to_string()] for purl in purls if purl.name == "cryptography"]
    assert "openssl" in {part["name"] for part in cryptography["components"]}


@pytest.fixture(scope="module")
def debians_certificates(engine: str) -> set[str]:
    """Return the certificates of Debian's package, from the sources of the base image."""
    script = (
        "cd /tmp && apt-get -qq update && apt-get -qq download ca-certificates"
        " && dpkg-deb --extract ca-certificates_*.deb . && cat usr/share/ca-certificates/*/*"
    )
    command = [engine, "run", "--rm", BASE_IMAGE, "sh", "-c", script]
    return certificates(subprocess.check_output(command, text=True))


def test_image_trusts_the_cas_of_debian_and_no_others(
    content: Content, debians_certificates: set[str]
) -> None:
    """The builder also trusts the CAs of the build host, if that host created the base image."""
    assert len(debians_certificates) > 100
    found = certificates(content.text("etc/ssl/certs/ca-certificates.crt"))
    assert found == debians_certificates


DRIVERS = """
import ssl, sqlite3, psycopg2, pymysql, memcache, cryptography.fernet, bcrypt, requests
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 50
assert requests.Session().merge_environment_settings("https://x", {}, None, None, None)["verify"] \\
    == "/etc/ssl/certs/ca-certificates.crt"
"""


def test_drivers_and_ca_certificates_can_be_loaded(
    any_image: str, run: Callable[..., Output]
) -> None:
    result = run(any_image, "-c", DRIVERS, options=(PYTHON, "--read-only"))
    assert result.returncode == 0, result.stderr


CRYPTOGRAPHY = """
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keystonemiddleware.auth_token import _memcache_crypt
from pymysql import _auth
keys = _memcache_crypt.derive_keys(b"token", b"secret", b"ENCRYPT")
protected = _memcache_crypt.protect_data(keys, b"data")
assert b"data" not in protected
assert _memcache_crypt.unprotect_data(keys, protected) == b"data"
key = rsa.generate_private_key(65537, 2048)
public = key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
sent = _auth.sha2_rsa_encrypt(b"password", bytes(20), public)
oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
assert key.decrypt(sent, oaep) == b"password\\0"
"""


def test_cryptography_encrypts_for_memcached_and_mysql(
    any_image: str, run: Callable[..., Output]
) -> None:
    """releases/<release>.overrides may select a version that OpenStack has not tested."""
    result = run(any_image, "-c", CRYPTOGRAPHY, options=(PYTHON,))
    assert result.returncode == 0, result.stderr


def test_build_refuses_another_distribution(
    engine: str, newest: str, render: Render, tmp_path: Path
) -> None:
    repository = render({"release": NEWEST})
    base = load(repository / ".copier-answers.yml")["base_image"]
    other = "localhost/placement-test-base:other"
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base}\nRUN echo 'ID=fedora' > /etc/os-release\n", encoding="utf-8"
    )
    subprocess.run([engine, "build", "--tag", other, tmp_path], capture_output=True, check=True)
    try:
        command = [
            engine,
            "build",
            "--build-arg",
            f"BASE_IMAGE={other}",
            "--tag",
            "x",
            str(repository),
        ]
        refused = subprocess.run(command, text=True, capture_output=True, check=False)
    finally:
        subprocess.run([engine, "rmi", "--force", other], capture_output=True, check=True)
    assert refused.returncode != 0
    assert "The base image must be Debian" in refused.stdout + refused.stderr
