"""A placedock repository adopts the template by docs/how-to/adopt-placedock.md, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.template import ROOT, Render, commit_all, git
from tests.support.terminal import LAST, Terminal

PAGE = (ROOT / "docs/how-to/adopt-placedock.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(console|yaml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COPY = "uvx --with copier-template-extensions copier"

LABEL = 'LABEL org.opencontainers.image.vendor="Example"\n'
ALERTS = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "%s.fullname" . }}-alerts
data:
  latency: "500"
"""
# placedock's files, with the contents that matter here.
PLACEDOCK = {
    "Dockerfile": f"FROM python:3-alpine\nADD /shared/startup.sh /\n{LABEL}",
    "README.md": "Our Placement, from placedock.\n",
    "gabbi.yaml": "tests:\n- name: versions\n  GET: /\n",
    "placement-requirements.txt": "openstack-placement\n",
    "placement-chart/.helmignore": "*.bak\n",
    "placement-chart/Chart.yaml": "apiVersion: v1\nname: placement-chart\nversion: 0.1.0\n",
    "placement-chart/values.yaml": "replicaCount: 3\nresources: {requests: {cpu: 500m}}\n",
    "placement-chart/templates/NOTES.txt": "TBD\n",
    "placement-chart/templates/_helpers.tpl": '{{ define "placement-chart.fullname" }}p{{ end }}\n',
    "placement-chart/templates/autoscaler.yaml": ALERTS % "placement-chart",
    "placement-chart/templates/deployment.yaml": ALERTS % "placement-chart",
    "placement-chart/templates/ingress.yaml": ALERTS % "placement-chart",
    "placement-chart/templates/service.yaml": ALERTS % "placement-chart",
    "placement-chart/templates/tests/test-connection.yaml": ALERTS % "placement-chart",
    "shared/placement-uwsgi.ini": "[uwsgi]\nprocesses = 8\n",
    "shared/startup.sh": "#!/bin/sh\nexec /app/bin/uwsgi --ini /placement-uwsgi.ini\n",
}
SITE = "tests:\n- name: placement answers\n  GET: /\n"
OWN = {
    "shared/backup.sh": "#!/bin/sh\npg_dump placement\n",
    "site.yaml": SITE,
    "placement-chart/templates/alerts.yaml": ALERTS % "placement-chart",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with placedock's files, one of them edited, and files of the user."""
    folder = tmp_path / "repository"
    for name, text in {**PLACEDOCK, **OWN}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    commit_all(folder)
    return folder


def follow(blocks: list[tuple[str, str]], repository: Path, template: Path) -> None:
    """Run the page's commands with the tests' own Copier and template."""
    names = {
        f"GIT_{role}_{field}": "me"
        for role in ("AUTHOR", "COMMITTER")
        for field in ("NAME", "EMAIL")
    }
    for language, text in blocks:
        if language == "yaml":
            (repository / "values.local.yaml").write_text(text, encoding="utf-8")
            continue
        commands = text.replace(COPY, f"{sys.executable} -m copier")
        done = subprocess.run(
            ["sh", "-ec", commands.replace("TEMPLATE", str(template))],
            cwd=repository,
            env={**os.environ, **names},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def contents(repository: Path) -> dict[str, str]:
    """Read the files that git tracks."""
    names = git(repository, "ls-files").splitlines()
    return {name: (repository / name).read_text(encoding="utf-8") for name in names}


def update(repository: Path) -> None:
    """Update without a change."""
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--quiet"]
    subprocess.run(command, cwd=repository, capture_output=True, check=True)


def test_page_leads_to_a_fresh_copy_with_the_users_files(
    repository: Path, copier_template: Path, render: Render
) -> None:
    """No file of the old chart remains for Helm to render, and an update changes nothing."""
    follow(BLOCKS, repository, copier_template)

    fresh = render({"database": "postgresql", "replicas": 3})
    expected = {
        path.relative_to(fresh).as_posix(): path.read_text(encoding="utf-8")
        for path in fresh.rglob("*")
        if path.is_file()
    }
    expected["Dockerfile"] += LABEL
    [expected["values.local.yaml"]] = [text for language, text in BLOCKS if language == "yaml"]
    expected["gabbits/local/site.yaml"] = SITE
    expected["placement-chart/templates/local-alerts.yaml"] = ALERTS % "placement"
    expected["shared/backup.sh"] = OWN["shared/backup.sh"]
    assert contents(repository) == expected

    update(repository)
    assert git(repository, "status", "--porcelain") == ""
    git(repository, "switch", "--quiet", "-")
    assert contents(repository) == {**PLACEDOCK, **OWN}


@pytest.mark.only_all  # a whole questionnaire
def test_file_is_kept_if_the_user_declines_to_overwrite_it(
    repository: Path, copier_template: Path
) -> None:
    """In the prompt. Later updates keep it, too."""
    (repository / ".gitignore").write_text("*.bak\n", encoding="utf-8")
    commit_all(repository)
    follow(BLOCKS[:2], repository, copier_template)
    terminal = Terminal(["copy", str(copier_template), str(repository)], {})
    try:
        terminal.accept_defaults("project_name", LAST)
        terminal.expect("Overwrite .gitignore?")
        terminal.process.send("n")
        terminal.expect("is ready")
        terminal.expect_exit(0)
    finally:
        terminal.process.close(force=True)
    commit_all(repository)
    update(repository)
    assert git(repository, "status", "--porcelain") == ""
    assert contents(repository)[".gitignore"] == "*.bak\n"
