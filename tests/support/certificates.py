"""Certificates for servers that tests start."""

from __future__ import annotations

from pathlib import Path

from tests.support.containers import succeed

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def self_signed(folder: Path, name: str) -> None:
    """Write a certificate for this name, and its key, as Kubernetes names them in a Secret."""
    write(folder, name)


def write_ca(folder: Path, name: str = "ca") -> None:
    """Write the certificate of a CA, and its key."""
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
    succeed("openssl", "req", "-x509", *KEY, "-subj", f"/CN={name}", *usage, *files)


def signed(folder: Path, name: str, ca: Path, file: str = "tls") -> None:
    """Write a certificate for this name that the CA in a folder has signed, and its key."""
    not_a_ca = ("-addext", "basicConstraints=critical,CA:FALSE")
    write(folder, name, "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key", *not_a_ca, file=file)


def certificate(ca: Path, name: str) -> dict[str, str]:
    """Return a new certificate for this name, and its key, as the keys of a Secret."""
    signed(ca, name, ca, name)
    return {f"tls.{end}": (ca / f"{name}.{end}").read_text() for end in ("crt", "key")}


def write(folder: Path, name: str, *options: object, file: str = "tls") -> None:
    """Write a certificate for this name, and its key, with options of `openssl req`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    files = ("-keyout", folder / f"{file}.key", "-out", folder / f"{file}.crt")
    succeed("openssl", "req", "-x509", *KEY, *names, *options, *files)
