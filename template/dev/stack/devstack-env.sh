#!/bin/sh
# Write devstack/placement.env from the files of a devstack:
#   dev/stack/devstack-env.sh ENGINE IMAGE PLACEMENT_CONF LOCAL_CONF HOST_IP
set -eu

engine=$1 image=$2 host_ip=$5
written=devstack/placement.env

# absolute PATH: print it for a container, which is given the file under the same path
absolute() {
    case $1 in
        '~'/*) path=$HOME/${1#??} ;;
        /*) path=$1 ;;
        *) path=$PWD/$1 ;;
    esac
    [ -f "$path" ] || { echo "$path does not exist: set PLACEMENT_CONF and LOCAL_CONF" >&2; exit 1; }
    printf '%s\n' "$path"
}

placement_conf=$(absolute "$3")
local_conf=$(absolute "$4")

# Only the owner may read the passwords in this file, so an existing file is replaced.
umask 077
rm -f "$written.new"
"$engine" run --rm --network none --user 0 --security-opt label=disable \
    --volume "$placement_conf:$placement_conf:ro" --volume "$local_conf:$local_conf:ro" \
    "$image" devstack-env "$placement_conf" "$local_conf" "$host_ip" >"$written.new" ||
    { rm -f "$written.new"; exit 1; }
mv "$written.new" "$written"
echo "$written is written. docs/devstack.md explains how to use it."
