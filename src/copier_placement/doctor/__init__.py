"""`make doctor`: report problems of this repository, and how to fix each."""

from collections.abc import Iterator
from pathlib import Path

from .. import rendering
from ..errors import MaintenanceError
from ..repository import ANSWERS, Repository
from .cluster import Cluster
from .conflicts import unresolved_conflicts
from .environments import clusters, invalid_environments
from .files import deleted_files, drift, foreign_files
from .findings import Finding, report
from .gitops import unready_gitops
from .template import newer_version, unused_answers
from .tools import missing_tools

__all__ = ["Cluster", "run"]


def run(repository: Repository, cluster: Cluster | None, *, as_json: bool) -> int:
    """Run every check; 0 if there are no problems."""
    findings = [
        *missing_tools(cluster=cluster is not None),
        *repository_findings(repository),
        *invalid_environments(repository.root),
        *unready_gitops(repository.root),
        *(cluster_findings(repository.root, cluster) if cluster else ()),
    ]
    report(findings, as_json=as_json)
    return 1 if findings else 0


def cluster_findings(root: Path, cluster: Cluster) -> Iterator[Finding]:
    """Check each environment; without environments, the Placement in the cluster."""
    for one in list(clusters(root, cluster)) or [cluster]:
        yield from one.findings(root)


def repository_findings(repository: Repository) -> Iterator[Finding]:
    """Check the repository by itself, then against its template's version and the newest one."""
    try:
        repository.check_git()
    except MaintenanceError as error:
        yield Finding("git", error.problem, error.fix)
        return
    yield from unresolved_conflicts(repository)
    try:
        answers = repository.answers()
        with rendering.pristine(answers) as rendered:
            yield from unused_answers(answers, Repository(rendered.root).answers())
            yield from deleted_files(repository, rendered)
            yield from foreign_files(repository, rendered)
            yield from drift(repository, rendered)
    except MaintenanceError as error:
        fix = error.fix or f"restore what Copier wrote there: git log -p {ANSWERS}"
        yield Finding("answers", error.problem, fix)
        return
    yield from newer_version(repository)
