#!/bin/sh
# Print the tag that only this image gets: dev/stack/image-tag.sh ENGINE IMAGE RELEASE
#
# It contains the release, the commit that last changed the files of the image, if that is known, and the start
# of the image's ID, which follows from the content.
set -eu

inspect() { "$engine" image inspect --format "$1" "$image"; }

engine=$1 image=$2 release=$3
id=$(inspect '{{.Id}}') revision=$(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}')
id=${id#sha256:}
printf '%s-%.12s%s%.12s\n' "$release" "$revision" "${revision:+-}" "$id"
