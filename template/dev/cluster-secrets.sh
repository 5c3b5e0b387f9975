#!/bin/sh
# Say how to make the Secrets that the pods need: dev/cluster-secrets.sh NAMESPACE FORMAT NAME:KEY,KEY...
# FORMAT is empty for commands, or external-secrets for objects of that operator.
set -eu

namespace=$1 format=$2
shift 2

command_for() {
    if [ -z "$2" ]; then
        printf 'kubectl --namespace %s create secret docker-registry %s \\\n' "$namespace" "$1"
        printf '    --docker-server=REGISTRY --docker-username=NAME --docker-password=PASSWORD\n'
        return
    fi
    printf 'kubectl --namespace %s create secret generic %s' "$namespace" "$1"
    for key in $2; do printf ' \\\n    --from-file=%s=FILE' "$key"; done
    echo
}

external_secret() {
    # A registry's login has its key by its type.
    keys=${2:-.dockerconfigjson}
    cat <<END
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: $1
  namespace: $namespace
spec:
  refreshInterval: 1h
  secretStoreRef:
    kind: SecretStore
    name: STORE
END
    [ -n "$2" ] || printf '  target:\n    template:\n      type: kubernetes.io/dockerconfigjson\n'
    echo '  data:'
    for key in $keys; do
        printf '    - secretKey: %s\n      remoteRef:\n        key: %s\n        property: %s\n' "$key" "$1" "$key"
    done
}

case $format in
    '') print=command_for
        echo '# Each FILE holds the bare value: a last line end does no harm, and a $ in it is a $.'
        echo "kubectl create namespace $namespace" ;;
    external-secrets) print=external_secret ;;
    *) echo "FORMAT=$format is not known: leave it out, or say FORMAT=external-secrets" >&2; exit 1 ;;
esac
for secret; do
    "$print" "${secret%%:*}" "$(echo "${secret#*:}" | tr , ' ')"
done
