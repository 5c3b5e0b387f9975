#!/bin/sh
# Run a command with URL set to a Service in the cluster, through `kubectl port-forward`:
#   dev/cluster/port-forward.sh CONTEXT NAMESPACE SELECTOR COMMAND...
# An empty CONTEXT is the current one.
set -eu

context=$1 namespace=$2 selector=$3
shift 3

# NAME SCHEME
service=$(kubectl --context "$context" --namespace "$namespace" get service --selector "$selector" \
    --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.ports[0].appProtocol}{end}')
scheme=${service#* }
[ -n "$service" ] || {
    echo "The namespace $namespace has no Service with the labels $selector: run 'make deploy' first." >&2
    exit 1
}

log=$(mktemp)
kubectl --context "$context" --namespace "$namespace" port-forward --address 127.0.0.1 "service/${service% *}" \
    :http >"$log" &
forwarding=$!
trap 'kill "$forwarding" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# kubectl prints the address once it listens, or exits with an error.
until address=$(grep -om 1 '127\.0\.0\.1:[0-9]*' "$log"); do
    kill -0 "$forwarding" 2>/dev/null || exit 1
    sleep 0.1
done
URL=${scheme:-http}://$address "$@"
