#!/bin/sh
# Take the newest version of the template on a branch of its own, and ask to merge it; CI does so weekly.
#
# While nobody else has written to that branch, it is made anew where this repository or the template has
# changed; with a commit of somebody else it is left alone. No branch here is changed.
set -eu

say() { printf 'propose-update: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# by_hand WHAT-HAPPENED [WHAT-TO-SET]
by_hand() {
    say "$@" >&2
    cat >&2 <<END
By hand, in a clone of this repository without changes of your own:
    git switch --create update-template
    make update
Settle what it says, look at 'git diff HEAD', and then:
    git add --all
    git commit --message 'Update the template'
    git push --set-upstream origin update-template
END
    exit 1
}

if [ -n "${GITLAB_CI:-}" ]; then
    target=$CI_COMMIT_BRANCH
    remote="$CI_SERVER_PROTOCOL://update:${UPDATE_TOKEN:-}@$CI_SERVER_FQDN/$CI_PROJECT_PATH.git"
    settings="Is UPDATE_TOKEN a project access token with the role Developer and the scope write_repository?"
else
    target=${GITHUB_REF_NAME:-$(git branch --show-current)}
    remote=origin
    settings="If GitHub refuses a change to .github/workflows/, make a secret UPDATE_TOKEN as update.yml says."
fi

# ---- The update ----

# What the template runs needs none of the tokens.
(unset GH_TOKEN UPDATE_TOKEN; make update) || by_hand "'make update' did not go through: see above."
if git diff --cached --quiet; then
    say "nothing to propose: this repository is up to date with its template"
    exit 0
fi
version=$(sed -n 's/^_commit: //p' .copier-answers.yml | tr -d "'\"")
branch=update-template-$version
title="Update the template to $version"
bot=template-update@localhost
proposed=$(git write-tree)
commit=$(git -c user.name='Template update' -c user.email="$bot" commit-tree -p HEAD -m "$title" "$proposed")
git reset --quiet --hard

# ---- The branch ----

if [ -n "${GITLAB_CI:-}" ] && [ -z "${UPDATE_TOKEN:-}" ]; then
    by_hand "the template has the version $version, and there is no UPDATE_TOKEN to push it with:" \
        ".gitlab-ci.yml says how to make one."
fi
there=$(git ls-remote "$remote" "refs/heads/$branch") || by_hand "$remote does not answer." "$settings"
there=${there%%[!0-9a-f]*}
if [ -n "$there" ]; then
    git fetch --quiet "$remote" "$there"
    if git log --format='%ae %ce' "HEAD..$there" | grep -qvxF "$bot $bot"; then
        say "somebody else has written to the branch $branch: it is left alone"
        exit 0
    fi
fi
if [ -n "$there" ] && [ "$(git rev-parse "$there^{tree}")" = "$proposed" ]; then
    say "the branch $branch is there already"
else
    # Not over what somebody has pushed since.
    set -- --force-with-lease="refs/heads/$branch:$there" "$remote" "$commit:refs/heads/$branch"
    # GitLab makes the merge request of what a push says.
    [ -z "${GITLAB_CI:-}" ] || set -- --push-option merge_request.create \
        --push-option "merge_request.target=$target" --push-option "merge_request.title=$title" \
        --push-option merge_request.remove_source_branch "$@"
    git push --quiet "$@" || by_hand "the branch $branch could not be pushed." "$settings"
    say "pushed the branch $branch"
fi
[ -z "${GITLAB_CI:-}" ] || exit 0

# ---- The pull request ----

no_request() {
    fail "the branch $branch is pushed, but there is no pull request. Open it by hand, from $branch to" \
        "$target; or allow it (Settings, Actions, General: 'Allow GitHub Actions to create and approve" \
        "pull requests') and run this again."
}
requests=$(gh pr list --head "$branch" --state all --json url --jq '.[].url') || no_request
if [ -n "$requests" ]; then
    say "there is a pull request for it already: $requests"
else
    gh pr create --base "$target" --head "$branch" --title "$title" \
        --body "Look at the changes, above all those of your own files; CHANGELOG.md of the template says more." ||
        no_request
fi
