#!/bin/sh
# Run the image's command `zones` with zones.yaml:
#   dev/stack/zones.sh ENGINE IMAGE URL ARGUMENT...
# for the Placement at URL with TOKEN and OS_CACERT or, if OS_CLOUD is set, for the Placement in this cloud of clouds.yaml.
set -eu

engine=$1 image=$2 url=$3
shift 3

[ -f zones.yaml ] || { echo 'zones.yaml does not exist: restore it, or create an empty file' >&2; exit 1; }
# In `make zones-export >zones.yaml`, the shell has emptied the file already.
if [ "$1" = export ] && [ ! -s zones.yaml ]; then
    echo 'zones.yaml is empty: restore it, and export to another file' >&2
    exit 1
fi
"$engine" image inspect "$image" >/dev/null 2>&1 ||
    { echo "The image $image does not exist: run \`make build\` first." >&2; exit 1; }

set -- "$image" zones "$@"
if [ -n "${OS_CLOUD:-}" ]; then
    clouds=${OS_CLIENT_CONFIG_FILE:-}
    for place in clouds.yaml ~/.config/openstack/clouds.yaml /etc/openstack/clouds.yaml; do
        [ -n "$clouds" ] || [ ! -f "$place" ] || clouds=$place
    done
    [ -f "$clouds" ] ||
        { echo "${clouds:-clouds.yaml} does not exist: set OS_CLIENT_CONFIG_FILE to its path" >&2; exit 1; }
    target="in the cloud $OS_CLOUD of $clouds"
    set -- --env OS_CLOUD --volume "$(realpath "$clouds"):/etc/openstack/clouds.yaml:ro" "$@"
    # The certificates that the file names. The command reports one of its cloud that is missing.
    for file in $(tr "\"',{} " '\n' <"$clouds" | sed -n '/^\//p' | sort -u); do
        [ ! -f "$file" ] || set -- --volume "$file:$file:ro" "$@"
    done
else
    target="at $url"
    export OS_ENDPOINT="$url" OS_TOKEN="$TOKEN"
    set -- --env OS_ENDPOINT --env OS_TOKEN "$@"
    if [ -n "${OS_CACERT:-}" ]; then
        [ -f "$OS_CACERT" ] || { echo "OS_CACERT=$OS_CACERT is not a file: set it to a CA certificate" >&2; exit 1; }
        set -- --env OS_CACERT=/ca.crt --volume "$(realpath "$OS_CACERT"):/ca.crt:ro" "$@"
    fi
fi
# Standard output is for JSON and for the exported file.
echo "Placement $target" >&2
# Only on a terminal, `zones apply` can ask.
if [ -t 0 ] && [ -t 1 ]; then set -- --tty "$@"; fi
# The container's root user can read a file that only its owner on the host can read.
exec "$engine" run --rm --interactive --network host --user 0 --security-opt label=disable \
    --volume "$PWD/zones.yaml:/zones.yaml:ro" "$@"
