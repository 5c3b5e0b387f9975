#!/bin/sh
# Run the image's command `zones` with zones.yaml:
#   dev/stack/zones.sh ENGINE IMAGE URL ARGUMENT...
# for the Placement at URL with TOKEN or, if OS_CLOUD is set, for the Placement in this cloud of clouds.yaml.
set -eu

engine=$1 image=$2 url=$3
shift 3

[ -f zones.yaml ] || { echo 'zones.yaml does not exist: docs/zones.md describes it' >&2; exit 1; }
"$engine" image inspect "$image" >/dev/null 2>&1 ||
    { echo "The image $image does not exist: run \`make build\` first." >&2; exit 1; }

set -- "$image" zones "$@"
if [ -n "${OS_CLOUD:-}" ]; then
    for clouds in "${OS_CLIENT_CONFIG_FILE:-clouds.yaml}" ~/.config/openstack/clouds.yaml /etc/openstack/clouds.yaml; do
        [ ! -f "$clouds" ] || break
    done
    [ -f "$clouds" ] || { echo "$clouds does not exist: set OS_CLIENT_CONFIG_FILE" >&2; exit 1; }
    set -- --env OS_CLOUD --volume "$(realpath "$clouds"):/etc/openstack/clouds.yaml:ro" "$@"
    # The CA certificates that the file names.
    for cacert in $(sed -n 's/^ *cacert: *//p' "$clouds" | tr -d "\"'" | sort -u); do
        set -- --volume "$cacert:$cacert:ro" "$@"
    done
else
    export OS_ENDPOINT="$url" OS_TOKEN="$TOKEN"
    set -- --env OS_ENDPOINT --env OS_TOKEN "$@"
fi
# Only on a terminal, `zones apply` can ask.
if [ -t 0 ] && [ -t 1 ]; then set -- --tty "$@"; fi
# The container's root user can read a file that only its owner on the host can read.
exec "$engine" run --rm --interactive --network host --user 0 --security-opt label=disable \
    --volume "$PWD/zones.yaml:/zones.yaml:ro" "$@"
