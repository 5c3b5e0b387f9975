#!/bin/sh
# Apply the patches in /patches to Placement, in the Dockerfile's builder. The argument selects them: all, fixes or
# none. If a patch does not apply exactly, report and skip it: the release already contains it, or has changed those
# lines.
set -eu

selected=$1
case $selected in
all | fixes | none) ;;
*)
    echo "PATCHES is '$selected': set it to all, fixes or none" >&2
    exit 1
    ;;
esac

cd /opt/placement/lib/python3*/site-packages
# A folder that a user mounts at /etc/placement hides the link there.
list=/runtime/usr/share/placement/patches
mkdir -p "${list%/*}"
: > "$list"
ln -s /usr/share/placement/patches /runtime/etc/placement/patches
for patch in /patches/*.patch; do
    [ "$selected" != none ] || break
    if [ "$selected" = fixes ] && grep -qx 'Purpose: speed' "$patch"; then
        continue
    fi
    set -- --batch --forward --fuzz=0 --strip=1 --no-backup-if-mismatch --input="$patch"
    if patch --dry-run --silent "$@"; then
        patch "$@"
        basename "$patch" .patch >> "$list"
    else
        echo "${patch##*/} does not apply to this release of Placement: skipped"
    fi
done

# The entry point makes these changes: they are in libraries, and application.py looks into the list.
[ "$selected" != all ] || printf '%s\n' aliases-once signatures-once >> "$list"

# Compile everything now. Python then never checks the sources, even if a copy changes their times.
python3 -m compileall -q --invalidation-mode unchecked-hash "$PWD/placement"
