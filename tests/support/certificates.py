"""Certificates for servers that tests start."""

from __future__ import annotations

from pathlib import Path

from tests.support.containers import succeed


def self_signed(folder: Path, name: str) -> None:
    """Write a certificate for this name, and its key, as Kubernetes names them in a Secret."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    files = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    succeed("openssl", "req", "-x509", *key, *names, *files)
