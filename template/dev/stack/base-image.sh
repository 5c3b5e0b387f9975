#!/bin/sh
# Make sure that the base image is there: dev/stack/base-image.sh ENGINE IMAGE
#
# An image that the engine has is left alone, one that a registry has is pulled. Where no registry
# answers, Debian's own (debian:<suite> and debian:<suite>-slim, whatever stands before it) is made
# from Debian's packages with mmdebstrap, under the same name.
set -eu

engine=$1
image=$2

say() { printf 'base-image: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

if "$engine" image inspect "$image" >/dev/null 2>&1; then
    exit 0
fi

say "pulling $image"
if "$engine" pull "$image" >/dev/null 2>&1; then
    exit 0
fi

case ${image##*/} in
    debian:latest) fail "$image cannot be pulled, and which Debian is the latest is not known here:" \
            "name the suite, such as debian:trixie-slim." ;;
    debian:*) suite=${image##*:} suite=${suite%-slim} ;;
    *) fail "$image cannot be pulled, and only debian:<suite>[-slim] can be made here instead. Load" \
            "it with '$engine load', or see '$engine pull $image' for what is wrong." ;;
esac
command -v mmdebstrap >/dev/null || fail "$image cannot be pulled. To make it from Debian's packages:" \
    "apt-get install mmdebstrap debian-archive-keyring"

say "no registry has it: making it from Debian's packages with mmdebstrap (half a minute)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What this machine trusts, the base trusts: behind a proxy that signs with its own CA, a build in
# it reaches the package index only so.
set --
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    set -- --customize-hook='upload /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt'
fi

mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$@" "$suite" "$work/base.tar" ||
    fail "mmdebstrap could not make it: is '$suite' a Debian suite, and does its mirror answer?"
"$engine" import --change 'CMD ["bash"]' "$work/base.tar" "$image" >/dev/null
say "made $image"
