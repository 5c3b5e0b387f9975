"""Certificates for servers that tests start."""

from __future__ import annotations

from pathlib import Path

from tests.support.containers import succeed

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def self_signed(folder: Path, name: str) -> None:
    """Write a certificate for this name, and its key, as Kubernetes names them in a Secret."""
    write(folder, name)


def write_ca(folder: Path) -> None:
    """Write the certificate of a CA, and its key."""
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    files = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    succeed("openssl", "req", "-x509", *KEY, "-subj", "/CN=ca", *usage, *files)


def signed(folder: Path, name: str, ca: Path) -> None:
    """Write a certificate for this name that the CA in a folder has signed, and its key."""
    not_a_ca = ("-addext", "basicConstraints=critical,CA:FALSE")
    write(folder, name, "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key", *not_a_ca)


def write(folder: Path, name: str, *options: object) -> None:
    """Write a certificate for this name, and its key, with options of `openssl req`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    files = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    succeed("openssl", "req", "-x509", *KEY, *names, *options, *files)
