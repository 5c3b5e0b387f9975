"""What nginx listens on: the port of PORT, in both address families, and the certificate."""

import errno
import os
import socket
import ssl
from pathlib import Path

from entrypoint.errors import StartError

# For nginx's and uWSGI's own files.
FOLDER = Path("/tmp/placement")  # noqa: S108
TLS_VARIABLES = ("TLS_CERT", "TLS_KEY")
BIND_ERRORS = {
    errno.EADDRINUSE: "another process listens on it; set PORT to a free port",
    errno.EACCES: "this user may not listen on it; set PORT to 1024 or more, or run the container"
    " with --sysctl net.ipv4.ip_unprivileged_port_start=0",
}


def prepare(port: int) -> None:
    """Check that nginx can listen on the port, and write its part of the settings."""
    addresses = [str(port)] if not ipv6_is_available() else [str(port), f"[::]:{port}"]
    check_port_is_free(port)
    if is_in_use():
        raise StartError(
            f"another container serves with its files in {FOLDER}: give each container a /tmp of"
            " its own"
        )
    tls = certificate()
    lines = [f"listen {address}{' ssl' if tls else ''};" for address in addresses]
    try:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        for name, path in tls.items():
            # nginx opens the link for each TLS handshake, so it serves a renewed certificate.
            (FOLDER / name).unlink(missing_ok=True)
            (FOLDER / name).symlink_to(path)
            lines.append(f"{name} $folder/{name};")
        (FOLDER / "listen.conf").write_text("\n".join([*lines, ""]))
    except OSError as error:
        raise StartError(
            f"{FOLDER} cannot be written: {error.strerror}. Mount a writable folder at /tmp, for"
            " example with --tmpfs /tmp"
        ) from error


def is_in_use() -> bool:
    """Return whether servers run with the files of the folder."""
    with socket.socket(socket.AF_UNIX) as trial:
        is_answered = trial.connect_ex(str(FOLDER / "uwsgi.sock")) == 0
    return is_answered and (FOLDER / "nginx.pid").exists()


def certificate() -> dict[str, Path]:
    """Return the files of the certificate and its key by nginx's names for them, or nothing."""
    names = [name for name in TLS_VARIABLES if os.environ.get(name)]
    if not names:
        return {}
    if len(names) == 1:
        [missing] = set(TLS_VARIABLES) - set(names)
        raise StartError(f"{names[0]} is set, but {missing} is not: set both, or neither")
    cert, key = (Path(os.environ[name]).absolute() for name in TLS_VARIABLES)
    try:
        # An encrypted key would make OpenSSL read a password from the terminal.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, lambda: "")
    except (OSError, ValueError) as error:
        raise StartError(
            f"TLS_CERT={cert} and TLS_KEY={key} cannot be used: {error}. Mount a certificate and"
            f" its unencrypted key as PEM files that uid {os.getuid()} can read"
        ) from error
    return {"ssl_certificate": cert, "ssl_certificate_key": key}


def check_port_is_free(number: int) -> None:
    """Refuse a port that is in use, or that this user may not listen on."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", number))
            trial.listen()
        except OSError as error:
            reason = BIND_ERRORS.get(error.errno or 0, str(error))
            raise StartError(f"PORT={number}: {reason}") from error


def ipv6_is_available() -> bool:
    """Return whether this host has IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::", 0))
    except OSError:
        return False
    return True
