#!/bin/sh
# Apply each of /patches to placement that fits it to the letter. One that a release has already, or
# whose place it has changed, is left out, and the build says so. Runs in the Dockerfile's builder.
set -eu

cd /opt/placement/lib/python3*/site-packages
for patch in /patches/*.patch; do
    set -- --batch --forward --fuzz=0 --strip=1 --no-backup-if-mismatch --input="$patch"
    if patch --dry-run --silent "$@"; then
        patch "$@"
    else
        echo "${patch##*/} does not fit this release of placement: left out"
    fi
done

# Compiled anew, as everything else is.
python3 -m compileall -q --invalidation-mode unchecked-hash placement
