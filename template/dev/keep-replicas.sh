#!/bin/sh
# Before an autoscaler takes over: dev/keep-replicas.sh NAMESPACE SELECTOR
#
# Helm no longer says how many replicas there are, and what nobody says is 1: all pods but one would go
# until the autoscaler has looked. So somebody else says it, until the autoscaler changes it.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
set -eu

namespace=$1 selector=$2

[ -z "$(kubectl --namespace "$namespace" get horizontalpodautoscaler --selector "$selector" --output name)" ] || exit 0
kubectl --namespace "$namespace" get deployment --selector "$selector" \
    --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}{"\n"}{end}' |
    while read -r name replicas; do
        printf '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "%s"}, "spec": {"replicas": %s}}' \
            "$name" "$replicas" |
            kubectl --namespace "$namespace" apply --server-side --field-manager before-autoscaling --filename -
    done
