"""The rendered README and the pages in docs/ are true of this deployment, and short."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.render.conftest import Repo
from tests.support.repositories import targets
from tests.support.template import ROOT
from tests.support.variants import every_variant

MAX_LINES = 150
"""The largest number of lines of a page."""

MAX_STATEMENTS = 7
"""The largest number of lines with a Jinja statement in a template."""

TEMPLATES = [
    ROOT / "template/README.md.jinja",
    ROOT / "template/gabbi.yaml.jinja",
    *sorted((ROOT / "template/docs").iterdir()),
]

# Places of the user, and files that `make` writes.
NOT_RENDERED = {
    "environments/",
    "environments/staging/values.yaml",
    "environments/staging/kustomization.yaml",
    "environments/staging/sync.yaml",
    "placement-chart/templates/local-external-secrets.yaml",
    "cosign.pub",
    "compose.override.yaml",
    ".gitlab-ci.local.yml",
    ".env",
    "dev/stack/keystone/clouds.yaml",
    "devstack/placement.env",
    "load/",
    "sbom.cdx.json",
    "values.image.yaml",
    "images/",
}

# Programs that a reader has already, or that the pages tell the reader to install.
PROGRAMS = {
    "cosign",
    "curl",
    "docker",
    "export",
    "git",
    "helm",
    "kubectl",
    "make",
    "openssl",
    "openstack",
    "sudo",
    "uvx",
}

# Targets that only other targets need.
STEPS = {
    "$(BUILD_SERVERS)",
    "passwords",
    "start-servers",
    "create-database",
    "registration",
}


def pages(repo: Repo) -> dict[str, str]:
    """Read every Markdown file of the repository."""
    return {
        path.relative_to(repo.path).as_posix(): path.read_text(encoding="utf-8")
        for path in repo.files()
        if path.suffix == ".md"
    }


def readme(repo: Repo) -> str:
    """Read README.md."""
    return (repo.path / "README.md").read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return a page with each code block replaced by one word."""
    return re.sub(r"^```.*?^```$", "code", page, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[str]:
    """Find the commands in the console blocks, with continued lines joined."""
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", "").splitlines():
            if command := line.partition(" #")[0].strip():
                yield command


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub and GitLab give the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}


@every_variant
def test_every_named_target_exists(repo: Repo) -> None:
    """The pages name only targets that exist, and `make` lists all of them."""
    named = {
        target
        for page in pages(repo).values()
        for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", page, re.MULTILINE)
    }
    makefiles = [repo.path / "Makefile", *(repo.path / "dev").rglob("*.mk")]
    phony = re.findall(r"^\.PHONY: (.*)$", "\n".join(map(Path.read_text, makefiles)), re.MULTILINE)
    assert {"build", "up", "test", "down"} <= set(
        re.findall(r"^make ([a-z0-9-]+)", readme(repo), re.MULTILINE)
    )
    listed = targets(repo.path)
    assert named <= listed
    assert listed == set(" ".join(phony).split()) - STEPS


@every_variant
def test_console_commands_name_existing_programs_and_files(repo: Repo) -> None:
    """A command starts a known program or a script of this repository; its files exist."""
    for name, page in pages(repo).items():
        for command in commands(page):
            program, *arguments = command.split()
            assert program in PROGRAMS or (repo.path / program).is_file(), (name, command)
            for argument in arguments:
                if re.fullmatch(r"(?:\./)?[a-z][\w-]*/[\w./-]*|\./[\w.-]+", argument):
                    path = argument.removeprefix("./")
                    assert path in NOT_RENDERED or (repo.path / path).exists(), (name, command)


@every_variant
def test_helm_commands_pass_all_values_files(repo: Repo) -> None:
    """The user's own come last; only placedock.md installs the chart's defaults."""
    for name, page in pages(repo).items():
        for command in commands(page):
            if command.startswith("helm") and "placement-chart" in command:
                values = re.findall(r"--values (\S+)", command)
                all_files = ["values.yaml", "values.image.yaml", "values.local.yaml"]
                expected = [] if name == "docs/placedock.md" else all_files
                assert values == expected, (name, command)


@every_variant
def test_settings_table_lists_all_answers(repo: Repo) -> None:
    """Each question that was asked, with its answer, and no other."""
    _, _, settings = readme(repo).partition("\n## Settings\n")
    rows = iter(table_cells(settings.partition("\n## ")[0]))
    found = {
        name[0].content: answer[0].content if answer[0].type == "code_inline" else ""
        for name, answer, question in zip(rows, rows, rows, strict=True)
        if question[-1].content.endswith("?")
    }
    assert found == repo.deployment.answers


def table_cells(markdown: str) -> list[list[Token]]:
    """Return what is in each cell of the tables, without the heads, as a reader sees it."""
    tokens = MarkdownIt().enable("table").parse(markdown)
    pairs = itertools.pairwise(tokens)
    return [cell.children or [] for cell_open, cell in pairs if cell_open.type == "td_open"]


@every_variant
def test_named_files_exist(repo: Repo) -> None:
    """A path in backticks is a path of this repository, or one of the user's own."""
    pattern = r"`([a-z.][\w./-]*(?:\.(?:ya?ml|txt|md|sh|ini)|/))`"
    own = {*NOT_RENDERED, "clouds.yaml", "policy.yaml"}
    named = {name: set(re.findall(pattern, page)) for name, page in pages(repo).items()}
    assert "placement-chart/" in named["README.md"]
    for page, names in named.items():
        folders = [repo.path, (repo.path / page).parent]
        missing = [
            name for name in names - own if not any((folder / name).exists() for folder in folders)
        ]
        assert missing == [], page


@every_variant
def test_diagram_shows_exactly_the_deployments_parts(repo: Repo) -> None:
    """Keystone, memcached and the Ingress or Gateway are drawn where they exist."""
    picture = readme(repo).partition("```mermaid\n")[2].partition("```")[0]
    nodes = set(re.findall(r"(?:--> |^ +)(\w+)[(\[]", picture, re.MULTILINE))
    deployment = repo.deployment
    expected = {"client", "placement", "database"}
    expected |= {"keystone"} if deployment.keystone else set()
    expected |= {"memcached"} if deployment.keystone_memcached_servers else set()
    expected |= {deployment.exposure} if deployment.exposed else set()
    assert nodes == expected


@every_variant
def test_database_urls_use_the_drivers_of_the_image(repo: Repo) -> None:
    """Only a server has a URL; SQLite needs none."""
    drivers = {"postgresql": {"postgresql+psycopg2"}, "mysql": {"mysql+pymysql"}, "sqlite": set()}
    shown = {url for page in pages(repo).values() for url in re.findall(r"(\w+\+\w+)://", page)}
    assert shown == drivers[repo.deployment.database]


@every_variant
def test_readme_lists_exactly_the_pages_in_docs(repo: Repo) -> None:
    """Each page is listed, and each listed page exists."""
    listed = set(
        re.findall(r"^\| \[[\w-]+\.md\]\(docs/([\w-]+\.md)\) \|", readme(repo), re.MULTILINE)
    )
    assert listed == {path.name for path in (repo.path / "docs").iterdir()}
    assert listed == repo.deployment.pages.keys()


@every_variant
def test_links_resolve(repo: Repo) -> None:
    """A relative link leads to a file, and its anchor to a heading."""
    texts = pages(repo)
    for name, page in texts.items():
        for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            target = (repo.path / name).parent.joinpath(path) if path else repo.path / name
            assert target.exists(), (name, link)
            if anchor:
                key = target.resolve().relative_to(repo.path.resolve()).as_posix()
                assert anchor in anchors(texts[key]), (name, link)


@every_variant
def test_pages_are_short_and_complete(repo: Repo) -> None:
    """At most 150 lines, no doubled blank line, no blank line at the end, no empty section."""
    for name, page in pages(repo).items():
        assert len(page.splitlines()) <= MAX_LINES, name
        assert "\n\n\n" not in page, name
        assert page.endswith("\n"), name
        assert not page.endswith("\n\n"), name
        headings = [(len(mark), title) for mark, title in _headings_without_text(page)]
        assert headings == [], name


def _headings_without_text(page: str) -> Iterator[tuple[str, str]]:
    """Find each heading that the end, or a heading of its own level or above, follows at once."""
    lines = [line for line in prose(page).splitlines() if line]
    for line, following in zip(lines, [*lines[1:], "#"], strict=True):
        heading = re.fullmatch(r"(#+) (.+)", line)
        after = re.fullmatch(r"(#+)(?: .*)?", following)
        if heading and after and len(after[1]) <= len(heading[1]):
            yield heading[1], heading[2]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_template_contains_few_statements(template: Path) -> None:
    """Decisions are properties of Deployment; a page prints them."""
    lines = template.read_text(encoding="utf-8").splitlines()
    assert sum("{%" in line for line in lines) <= MAX_STATEMENTS
