#!/bin/sh
# Create /runtime, the root of the image, in the Dockerfile's builder: the Debian packages of Python and of
# every library that /opt/placement uses, unpacked into an empty directory.
#
# apt resolves the packages as for an empty system, with the sources and settings of the base image. The
# packages' maintainer scripts do not run; the end of this script does their work.
set -eu

python=$(basename "$(readlink -f /usr/bin/python3)")
work=$(mktemp -d)

mkdir -p "$work/debs/partial"
# nginx without the packages of its default site and service.
(cd "$work/debs" && apt-get download -o APT::Sandbox::User=root nginx)
dpkg-deb --extract "$work"/debs/nginx_*.deb "$work/nginx"

find /opt/placement "$work/nginx" -type f \( -name '*.so' -o -path '*/bin/uwsgi' -o -path '*/sbin/nginx' \) \
    -exec ldd {} + > "$work/ldd"
awk '/=> \// { n = split($3, path, "/"); print "*/" path[n] }' "$work/ldd" | sort -u > "$work/libraries"
xargs dpkg-query --search < "$work/libraries" > "$work/owners"
cut -d: -f1 "$work/owners" | sort -u > "$work/packages"

xargs apt-get install --yes --no-install-recommends --download-only \
    -o Dir::State::status=/dev/null -o Dir::Cache::archives="$work/debs" -o APT::Sandbox::User=root \
    base-files ca-certificates dash netbase "$python-minimal" "lib$python-stdlib" < "$work/packages"
# Only maintainer scripts use these.
rm -f "$work"/debs/debconf_* "$work"/debs/mawk_* "$work"/debs/debianutils_* "$work"/debs/openssl_*
# Berkeley DB, which only Python's _dbm uses, and SASL's file of users.
rm -f "$work"/debs/libdb5.3* "$work"/debs/libsasl2-modules-db_*

mkdir -p /runtime/usr/bin /runtime/usr/sbin /runtime/usr/lib /runtime/usr/lib64 /runtime/var/lib/dpkg
cd /runtime
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" > "$work/tar"
    tar -x -f "$work/tar" --keep-directory-symlink \
        --exclude='./usr/share/doc/*/[!c]*' --exclude='./usr/share/doc/*/changelog*' \
        --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/lintian/*' \
        --exclude='./usr/lib/*/gconv/*' --exclude='./usr/lib/*/libmvec.*' --exclude='./usr/share/gcc' \
        --exclude="./usr/lib/$python/test" --exclude="./usr/lib/$python/pydoc_data" \
        --exclude="./usr/lib/$python/idlelib" --exclude="./usr/lib/$python/ensurepip" \
        --exclude="./usr/lib/$python/lib-dynload/_test*" --exclude="./usr/lib/$python/lib-dynload/_dbm.*"
    # The list of installed packages, where vulnerability scanners look for it.
    dpkg-deb --field "$deb" > "$work/control"
    sed '1a Status: install ok installed' "$work/control" >> var/lib/dpkg/status
    echo >> var/lib/dpkg/status
done

# Debian's python3 contains a second copy of the interpreter. This small one uses the shared library.
echo '#include <Python.h>
int main(int count, char **arguments) { return Py_BytesMain(count, arguments); }' > "$work/python.c"
gcc -s -O2 -I "/usr/include/$python" -o "usr/bin/$python" "$work/python.c" "-l$python"

ln -sf dash usr/bin/sh
ln -sf "$python" usr/bin/python3
# The certificates come from Debian's package, because the builder may trust the CAs of the build host as well.
mkdir -p etc/ssl/certs
cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt
rm -r usr/share/ca-certificates usr/sbin/update-ca-certificates
# The locale of LANG. Without it, Python inside uWSGI reads the environment as ASCII.
mkdir -p usr/lib/locale
cp -r /usr/lib/locale/C.utf8 usr/lib/locale/
cp /usr/share/base-passwd/passwd.master etc/passwd
cp /usr/share/base-passwd/group.master etc/group
echo 'placement:x:42424:42424::/var/lib/placement:/usr/sbin/nologin' >> etc/passwd
echo 'placement:x:42424:' >> etc/group
# The folder of the default database, for a volume. Group 0 is for containers that run as an arbitrary user.
mkdir var/lib/placement
chown 42424:0 var/lib/placement
chmod g+rwX var/lib/placement
ln -s var/lib/placement/cats.db cats.db
mkdir -p etc/placement
# Without its sources, the standard library needs half the space.
python3 -m compileall -q -j 0 -b -s /runtime -p / "/runtime/usr/lib/$python" > /dev/null
find "usr/lib/$python" -name '*.py' -delete
