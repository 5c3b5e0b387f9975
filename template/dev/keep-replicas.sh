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
    --output 'go-template={{range .items}}{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"{{.metadata.name}}"},"spec":{"replicas":{{.spec.replicas}}}}{{"\n"}}{{end}}' |
    while read -r deployment; do
        echo "$deployment" | kubectl --namespace "$namespace" apply --server-side --field-manager before-autoscaling --filename -
    done
