#!/bin/sh
# Make sure that the engine has the base image, and print its name: dev/stack/base-image.sh ENGINE IMAGE
#
# This script pulls an image that the engine does not have. If the pull fails, it creates Debian's own images
# (debian:<suite> and debian:<suite>-slim, from any registry) from Debian's packages with mmdebstrap. Such an
# image has another digest, so its name is printed without one.
set -eu

engine=$1
image=$2

say() { printf 'base-image: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

exists() { "$engine" image inspect "$1" >/dev/null 2>&1; }

if exists "$image"; then
    echo "$image"
    exit 0
fi

say "pulling $image"
if "$engine" pull "$image" >/dev/null 2>&1; then
    echo "$image"
    exit 0
fi

name=${image%@*}
case ${name##*/} in
    debian:latest) fail "$image cannot be pulled, and cannot be created because it names no suite. Set BASE_IMAGE" \
            "to an image such as debian:trixie-slim." ;;
    debian:*) suite=${name##*:} suite=${suite%-slim} ;;
    *) fail "$image cannot be pulled, and only debian:<suite>[-slim] can be created here. Load the image with" \
            "'$engine load', or run '$engine pull $image' to see the error." ;;
esac
if exists "$name"; then
    say "$image cannot be pulled: using this host's $name, whatever its digest"
    echo "$name"
    exit 0
fi
command -v mmdebstrap >/dev/null || fail "$image cannot be pulled. To create it from Debian's packages, run:" \
    "apt-get install mmdebstrap debian-archive-keyring"

say "$image cannot be pulled: creating it from Debian's packages, which takes half a minute"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The base image trusts the CA certificates of this machine. Behind a proxy with its own CA, the build could not
# reach the package index otherwise. Placement's image does not contain them. They also survive an upgrade of
# ca-certificates during the build.
set --
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    # shellcheck disable=SC2016 # mmdebstrap passes the root of the image to the shell of the hook
    set -- --customize-hook='upload /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/host.crt' \
        --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1'
fi

mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$@" "$suite" "$work/base.tar" ||
    fail "mmdebstrap failed. Check that '$suite' is a Debian suite and that its mirror answers."
"$engine" import --change 'CMD ["bash"]' "$work/base.tar" "$name" >/dev/null
say "created $name"
echo "$name"
