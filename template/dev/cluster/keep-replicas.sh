#!/bin/sh
# Before an update by Helm: dev/cluster/keep-replicas.sh NAMESPACE SELECTOR
#
# Where an autoscaler takes over, or replicaCount becomes null, Helm no longer says how many replicas
# there are, and what nobody says is 1: all pods but one would go. So somebody else says it, too.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
set -eu

namespace=$1 selector=$2

[ -z "$(kubectl --namespace "$namespace" get horizontalpodautoscaler --selector "$selector" --output name)" ] || exit 0
kubectl --namespace "$namespace" get deployment --selector "$selector" \
    --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}{"\n"}{end}' |
    while read -r name replicas; do
        # An autoscaler leaves alone what is stopped.
        [ "$replicas" != 0 ] || continue
        printf '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "%s"}, "spec": {"replicas": %s}}' \
            "$name" "$replicas" |
            kubectl --namespace "$namespace" apply --server-side --field-manager before-autoscaling --filename -
    done
