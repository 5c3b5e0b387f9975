#!/bin/sh
# Keep the number of replicas during an upgrade with Helm: dev/cluster/keep-replicas.sh NAMESPACE SELECTOR
#
# When an autoscaler takes over, or replicaCount becomes null, Helm stops owning the number of replicas.
# Kubernetes resets a number without an owner to 1, which would remove all pods except one. This script makes
# another field manager the owner of the current number.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
set -eu

namespace=$1 selector=$2

[ -z "$(kubectl --namespace "$namespace" get horizontalpodautoscaler --selector "$selector" --output name)" ] || exit 0
kubectl --namespace "$namespace" get deployment --selector "$selector" \
    --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}{"\n"}{end}' |
    while read -r name replicas; do
        # An autoscaler does not scale a Deployment that has 0 replicas.
        [ "$replicas" != 0 ] || continue
        printf '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "%s"}, "spec": {"replicas": %s}}' \
            "$name" "$replicas" |
            kubectl --namespace "$namespace" apply --server-side --field-manager before-autoscaling --filename -
    done
