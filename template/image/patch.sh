#!/bin/sh
# Apply the patches in /patches to Placement, in the Dockerfile's builder. If a patch does not apply exactly,
# report and skip it: the release already contains it, or has changed those lines.
set -eu

cd /opt/placement/lib/python3*/site-packages
for patch in /patches/*.patch; do
    set -- --batch --forward --fuzz=0 --strip=1 --no-backup-if-mismatch --input="$patch"
    if patch --dry-run --silent "$@"; then
        patch "$@"
    else
        echo "${patch##*/} does not apply to this release of Placement: skipped"
    fi
done

# Compile everything now. Python then never checks the sources, even if a copy changes their times.
python3 -m compileall -q --invalidation-mode unchecked-hash "$PWD/placement"
