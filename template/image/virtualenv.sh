#!/bin/sh
# Build /opt/placement from the locked requirements. Runs in the Dockerfile's builder.
set -eu

# Debian's own pip and setuptools build what has no wheel, against Debian's own libraries.
python3 -m pip wheel --no-cache-dir --no-deps --no-build-isolation --require-hashes \
    --requirement /placement-requirements.txt --wheel-dir /wheels

# What only installs stays out: pip itself, and setuptools, which placement's libraries ask for but
# import in their own builds alone.
rm -f /wheels/setuptools-*.whl
python3 -m venv --without-pip /opt/placement
python3 -m pip --python /opt/placement/bin/python3 install \
    --no-index --no-deps --no-compile /wheels/*.whl

# Not needed to run: tests, sources of C extensions, and the names of the makers of network cards.
cd /opt/placement
rm -rf bin/[Aa]ctivate* include share
find lib -depth -type d -name tests -exec rm -rf {} +
rm -rf lib/python3*/site-packages/sqlalchemy/testing lib/python3*/site-packages/alembic/testing
find lib -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -f lib/python3*/site-packages/netaddr/eui/oui.txt lib/python3*/site-packages/netaddr/eui/iab.txt
find lib -type f -name '*.so' -exec strip --strip-unneeded {} +
strip bin/uwsgi

# Compiled now, and never again: not even where a copy changed the sources' times.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash lib
