#!/bin/sh
# Print the commands that create the Secrets of this deployment:
#   dev/cluster/secrets.sh CONTEXT NAMESPACE FORMAT ENV NAME:KEY,KEY[:TYPE]...
# With FORMAT external-secrets, print objects of the External Secrets Operator instead. The environment's name is
# part of their keys in the store, so that two environments never share a login.
set -eu

context=$1 namespace=$2 format=$3 environment=$4
shift 4
kubectl=kubectl
[ -z "$context" ] || kubectl="kubectl --context '$context'"

# NAME KEYS TYPE
command_for() {
    printf '%s --namespace %s create secret generic %s' "$kubectl" "$namespace" "$1"
    [ -z "$3" ] || printf ' --type=%s' "$3"
    for key in $2; do printf ' \\\n    --from-file=%s=FILE' "$key"; done
    echo
}

# NAME KEYS TYPE
external_secret() {
    cat <<END
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: "$1"
  namespace: "$namespace"
spec:
  refreshInterval: 1h
  secretStoreRef:
    kind: SecretStore
    name: STORE
END
    [ -z "$3" ] || printf '  target:\n    template:\n      type: %s\n' "$3"
    echo '  data:'
    for key in $2; do
        printf '    - secretKey: %s\n      remoteRef:\n        key: "%s"\n        property: %s\n' \
            "$key" "${environment:+$environment/}$1" "$key"
    done
}

case $format in
    '') print=command_for
        echo '# Each FILE holds only the value. A newline at its end does no harm, and a $ needs no escape.'
        echo "$kubectl create namespace $namespace --dry-run=client --output yaml | $kubectl apply --filename -" ;;
    external-secrets) print=external_secret
        echo '# Replace STORE with the name of your SecretStore.'
        printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "%s"\n' "$namespace" ;;
    *) echo "FORMAT=$format is unknown: leave it out, or set FORMAT=external-secrets" >&2; exit 1 ;;
esac
for secret; do
    name=${secret%%:*} rest=${secret#*:}
    keys=${rest%%:*} type=${rest#"${rest%%:*}"}
    # The pods need the Secret, but its keys are not known.
    "$print" "$name" "$(echo "${keys:-KEY}" | tr , ' ')" "${type#:}"
done
