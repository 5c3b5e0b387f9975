"""Propose the newest version of the template on a branch of its own; CI does so every week.

While nobody else has committed to that branch, it is replaced whenever this repository or the
template has changed. A branch with somebody else's commit is left alone, and so are all branches
of the clone that this runs in.

This process holds the tokens, so dev/maintain runs it in the version that this repository has
merged, while the newest version of the template runs in a process of its own without them.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from .errors import MaintenanceError
from .repository import Repository

TOKENS = ("GH_TOKEN", "UPDATE_TOKEN")
BOT_NAME, BOT_EMAIL = "Template update", "template-update@localhost"
BY_HAND = """\
To update by hand, run in a clone of this repository without uncommitted changes:
    git switch --create update-template
    make update
Resolve conflicts and review `git diff HEAD`. Then run:
    git add --all
    git commit --message 'Update the template'
    git push --set-upstream origin update-template"""
GITLAB_SETTINGS = (
    "Check that UPDATE_TOKEN is a project access token with the role Developer and the scope "
    "write_repository."
)
GITHUB_SETTINGS = (
    "If GitHub refuses a change to .github/workflows/, create the secret UPDATE_TOKEN as described "
    "in update.yml."
)


@dataclass(frozen=True)
class Forge:
    """The service that the repository is pushed to, as its CI job describes it."""

    remote: str
    target: str
    """The branch to merge into."""
    settings: str
    """What to check if the service refuses a push."""
    gitlab: bool = False
    has_token: bool = True


@dataclass(frozen=True)
class Proposal:
    """A commit with the update."""

    version: str
    commit: str
    tree: str

    @property
    def branch(self) -> str:
        """The branch it is pushed to."""
        return f"update-template-{self.version}"

    @property
    def title(self) -> str:
        """The first line of the commit, and the title of the pull request."""
        return f"Update the template to {self.version}"


def run(repository: Repository, environment: Mapping[str, str]) -> int:
    """Update, push the result to a branch, and open a pull request."""
    forge = new_forge(repository, environment)
    proposal = new_proposal(repository, environment)
    if proposal is None:
        print("propose-update: nothing to propose, this repository is up to date")
        return 0
    if not forge.has_token:
        fail_with_instructions(
            f"the update to {proposal.version} cannot be pushed, because no UPDATE_TOKEN is set. "
            ".gitlab-ci.yml explains how to create one."
        )
    if push(repository, forge, proposal) and not forge.gitlab:
        open_pull_request(repository, forge, proposal)
    return 0


def new_forge(repository: Repository, environment: Mapping[str, str]) -> Forge:
    """Recognise GitLab by its variables; everything else pushes to `origin`, as on GitHub."""
    if environment.get("GITLAB_CI"):
        token = environment.get("UPDATE_TOKEN", "")
        host, path = environment["CI_SERVER_FQDN"], environment["CI_PROJECT_PATH"]
        return Forge(
            remote=f"{environment['CI_SERVER_PROTOCOL']}://update:{token}@{host}/{path}.git",
            target=environment["CI_COMMIT_BRANCH"],
            settings=GITLAB_SETTINGS,
            gitlab=True,
            has_token=bool(token),
        )
    current = repository.git("branch", "--show-current").strip()
    target = environment.get("GITHUB_REF_NAME") or current
    return Forge(remote="origin", target=target, settings=GITHUB_SETTINGS)


def new_proposal(repository: Repository, environment: Mapping[str, str]) -> Proposal | None:
    """Update the work tree, commit the result to no branch, and undo it in the work tree."""
    # The template's code runs in the update. It needs none of the tokens, so it gets none.
    without_tokens = {name: text for name, text in environment.items() if name not in TOKENS}
    update = subprocess.run(
        ["dev/maintain", "update"], cwd=repository.root, env=without_tokens, check=False
    )
    if update.returncode:
        fail_with_instructions("the update failed: see above.")
    tree = repository.git("write-tree").strip()
    if tree == repository.git("rev-parse", "HEAD^{tree}").strip():
        return None
    version = str(repository.answers()["_commit"])
    bot = ("-c", f"user.name={BOT_NAME}", "-c", f"user.email={BOT_EMAIL}")
    title = Proposal(version, "", tree).title
    commit = repository.git(*bot, "commit-tree", "-p", "HEAD", "-m", title, tree).strip()
    repository.git("reset", "--quiet", "--hard")
    return Proposal(version, commit, tree)


def push(repository: Repository, forge: Forge, proposal: Proposal) -> bool:
    """Push the branch unless it is up to date; False if somebody else has committed to it."""
    try:
        listed = repository.git("ls-remote", forge.remote, f"refs/heads/{proposal.branch}")
    except MaintenanceError as error:
        problem = f"the remote does not answer. {forge.settings}"
        fail_with_instructions(problem, without_token(error, forge))
    pushed = listed.partition("\t")[0]
    if pushed:
        repository.git("fetch", "--quiet", forge.remote, pushed)
        if not is_all_ours(repository, pushed):
            print(f"propose-update: somebody else has committed to the branch {proposal.branch}")
            return False
        if repository.git("rev-parse", f"{pushed}^{{tree}}").strip() == proposal.tree:
            print(f"propose-update: the branch {proposal.branch} is already pushed")
            return True
    # A push by somebody else since then is not overwritten.
    arguments = [f"--force-with-lease=refs/heads/{proposal.branch}:{pushed}", forge.remote]
    options = gitlab_push_options(forge, proposal) if forge.gitlab else []
    refspec = f"{proposal.commit}:refs/heads/{proposal.branch}"
    try:
        repository.git("push", "--quiet", *options, *arguments, refspec)
    except MaintenanceError as error:
        problem = f"the branch {proposal.branch} could not be pushed. {forge.settings}"
        fail_with_instructions(problem, without_token(error, forge))
    print(f"propose-update: pushed the branch {proposal.branch}")
    return True


def is_all_ours(repository: Repository, commit: str) -> bool:
    """Whether every commit of a pushed branch is the bot's own."""
    authors = repository.git("log", "--format=%ae %ce", f"HEAD..{commit}").splitlines()
    return set(authors) <= {f"{BOT_EMAIL} {BOT_EMAIL}"}


def gitlab_push_options(forge: Forge, proposal: Proposal) -> list[str]:
    """Return the push options with which GitLab creates the merge request."""
    options = (
        "create",
        f"target={forge.target}",
        f"title={proposal.title}",
        "remove_source_branch",
    )
    return [f"--push-option=merge_request.{option}" for option in options]


def open_pull_request(repository: Repository, forge: Forge, proposal: Proposal) -> None:
    """Open a pull request on GitHub unless the branch has one, open or closed."""
    listed = gh(
        repository, forge, proposal,
        "list", "--head", proposal.branch, "--state", "all", "--json", "url", "--jq", ".[].url",
    )  # fmt: skip
    if listed:
        print(f"propose-update: the branch already has a pull request: {listed}")
        return
    body = (
        "Review the changes, above all to files that you edited. "
        "CHANGELOG.md of the template describes them."
    )
    created = gh(
        repository, forge, proposal,
        "create", "--base", forge.target, "--head", proposal.branch,
        "--title", proposal.title, "--body", body,
    )  # fmt: skip
    print(created)


def gh(repository: Repository, forge: Forge, proposal: Proposal, *arguments: str) -> str:
    """Run `gh pr`."""
    command = ["gh", "pr", *arguments]
    try:
        done = subprocess.run(
            command, cwd=repository.root, text=True, stdout=subprocess.PIPE, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise MaintenanceError(
            f"propose-update: the branch {proposal.branch} is pushed, but has no pull request.",
            f"Open one from {proposal.branch} to {forge.target} by hand. Or allow the workflow to "
            "do so (Settings, Actions, General: 'Allow GitHub Actions to create and approve pull "
            "requests') and run it again.",
        ) from None
    return done.stdout.strip()


def without_token(error: MaintenanceError, forge: Forge) -> str:
    """Return git's message without the URL, which holds a token on GitLab."""
    return str(error).replace(forge.remote, "the remote")


def fail_with_instructions(problem: str, details: str = "") -> NoReturn:
    """End with how to update by hand."""
    raise MaintenanceError(f"{details}\npropose-update: {problem}".lstrip(), BY_HAND) from None
