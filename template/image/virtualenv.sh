#!/bin/sh
# Create /opt/placement from the locked requirements, in the Dockerfile's builder.
set -eu

# Packages without a wheel are built with Debian's pip and setuptools, against Debian's libraries.
python3 -m pip wheel --no-cache-dir --no-deps --no-build-isolation --require-hashes \
    --requirement /placement-requirements.txt --wheel-dir /wheels

# The image needs neither pip nor setuptools. Placement's libraries require setuptools, but import it only in
# their own builds. SQLAlchemy uses greenlet only with asyncio.
rm -f /wheels/setuptools-*.whl /wheels/greenlet-*.whl
python3 -m venv --without-pip /opt/placement
python3 -m pip --python /opt/placement/bin/python3 install \
    --no-index --no-deps --no-compile /wheels/*.whl

# Remove what is not needed at run time: tests, sources of C extensions, the vendors of MAC addresses, and the widths of
# characters in some terminals, without which wcwidth takes the usual ones.
cd /opt/placement
rm -rf bin/[Aa]ctivate* include share
find lib -depth -type d -name tests -exec rm -rf {} +
rm -rf lib/python3*/site-packages/sqlalchemy/testing lib/python3*/site-packages/alembic/testing
find lib -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -f lib/python3*/site-packages/netaddr/eui/*.txt lib/python3*/site-packages/netaddr/eui/*.idx
rm -f lib/python3*/site-packages/wcwidth/table_grapheme_overrides/_known_*
find lib -type f -name '*.so' -exec strip --strip-unneeded {} +
strip bin/uwsgi

# Without their sources, the libraries need half the space. Placement keeps its own for the lines in tracebacks.
python3 -m compileall -q -j 0 -b -x site-packages/placement/ /opt/placement/lib
find lib -type f -name '*.py' ! -path '*/site-packages/placement/*' -delete
