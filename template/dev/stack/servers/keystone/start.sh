#!/bin/sh
# Run Keystone in the region KEYSTONE_REGION with the administrator's password KEYSTONE_ADMIN_PASSWORD.
# Its database and keys are in /var/lib/keystone, which is a volume. OS_<GROUP>__<OPTION> sets any option.
# Its addresses in the catalog are KEYSTONE_PUBLIC_URL and KEYSTONE_INTERNAL_URL.
# With KEYSTONE_SCHEME=https it serves HTTPS, and clients must trust the CA certificate /tls/ca.crt.
set -eu
: "${KEYSTONE_ADMIN_PASSWORD:?is not set}" "${KEYSTONE_REGION:?is not set}"

PATH=/opt/keystone/bin:$PATH
state=/var/lib/keystone
# Keystone's libraries print deprecation warnings about each other.
export PYTHONWARNINGS=ignore
export OS_DATABASE__CONNECTION="sqlite:///$state/keystone.db"
export OS_FERNET_TOKENS__KEY_REPOSITORY="$state/fernet-keys"
export OS_FERNET_RECEIPTS__KEY_REPOSITORY="$state/fernet-keys"
export OS_CREDENTIAL__KEY_REPOSITORY="$state/credential-keys"
# The default of 12 takes most of a login's time, and on a busy host more than the five seconds of a client.
export OS_IDENTITY__PASSWORD_HASH_ROUNDS="${OS_IDENTITY__PASSWORD_HASH_ROUNDS:-4}"

url=${KEYSTONE_SCHEME:=http}://keystone:5000/v3
public=${KEYSTONE_PUBLIC_URL:-$url}
internal=${KEYSTONE_INTERNAL_URL:-$url}
socket="--http-socket :5000"
if [ "$KEYSTONE_SCHEME" = https ]; then
    socket="--https-socket :5000,/tls/ca.crt,$state/tls.key"
    # The server's certificate is its own CA certificate.
    [ -f /tls/ca.crt ] && [ -f "$state/tls.key" ] || openssl req -x509 -nodes -days 3650 \
        -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=keystone \
        -addext subjectAltName=DNS:keystone,DNS:localhost,IP:127.0.0.1 \
        -addext keyUsage=critical,digitalSignature,keyCertSign \
        -keyout "$state/tls.key" -out /tls/ca.crt 2>/dev/null
fi

# Initialize Keystone at the first start, and again when one of these values changes. Each command keeps
# existing data.
values="$(sha256sum /requirements.txt) $KEYSTONE_ADMIN_PASSWORD $KEYSTONE_REGION $public $internal $url"
if [ "$(cat "$state/values" 2>/dev/null)" != "$values" ]; then
    keystone-manage db_sync
    keystone-manage fernet_setup
    keystone-manage credential_setup
    OS_BOOTSTRAP_PASSWORD=$KEYSTONE_ADMIN_PASSWORD keystone-manage bootstrap \
        --bootstrap-region-id "$KEYSTONE_REGION" \
        --bootstrap-public-url "$public" --bootstrap-internal-url "$internal" --bootstrap-admin-url "$url"
    (umask 077 && echo "$values" >"$state/values")
fi

# shellcheck disable=SC2086 # $socket is two arguments
exec uwsgi --plugin python3 --virtualenv /opt/keystone --module keystone.wsgi.api:application $socket \
    --master --processes 2 --threads 2 --need-app --buffer-size 65535 --disable-logging \
    --add-header 'Connection: close'
