"""What is compared: the image, and other ways to serve the same application.

uWSGI reads its options from UWSGI_ variables as well, so that a peer is an image and an
environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.containers import PORT

PRODUCT, UNPATCHED = "default", "without patches"


@dataclass(frozen=True)
class Peer:
    """A way to serve Placement: the variables, and whether the image has its patches."""

    name: str
    env: Mapping[str, str]
    patched: bool = False
    options: tuple[str, ...] = field(default=())


def upstream(name: str, processes: int, threads: int, pool: tuple[int, int], **more: str) -> Peer:
    """Return a peer that serves upstream's module with settings of its own."""
    settings = {
        "MODULE": "placement.wsgi.api:application",
        "VIRTUALENV": "/opt/placement",
        "HTTP_SOCKET": f":{PORT}",
        "MASTER": "true",
        "ENABLE_THREADS": "true",
        "DIE_ON_TERM": "true",
        "BUFFER_SIZE": "65535",
        "PROCESSES": str(processes),
        "THREADS": str(threads),
        **more,
    }
    size, overflow = map(str, pool)
    env = {f"UWSGI_{option}": value for option, value in settings.items()}
    env |= {
        "OS_PLACEMENT_DATABASE__MAX_POOL_SIZE": size,
        "OS_PLACEMENT_DATABASE__MAX_OVERFLOW": overflow,
    }
    return Peer(name, env, options=("--entrypoint=/opt/placement/bin/uwsgi",))


def product(name: str, processes: int, threads: int, *, patched: bool = True) -> Peer:
    """Return the image with these workers."""
    workers = {"UWSGI_PROCESSES": str(processes), "UWSGI_THREADS": str(threads)}
    return Peer(name, workers, patched)


PEERS = (
    product(PRODUCT, 2, 4),
    product(UNPATCHED, 2, 4, patched=False),
    # github.com/cdent/placedock, shared/placement-uwsgi.ini; oslo.db's own pool.
    upstream(
        "placedock",
        2,
        10,
        (5, 50),
        THUNDER_LOCK="true",
        POST_BUFFERING="4096",
        ADD_HEADER="Connection: Keep-Alive",
        NO_DEFER_ACCEPT="true",
    ),
    # opendev.org/openstack/placement, gate/perfload-server.sh.
    upstream("upstream's gate", 5, 25, (25, 100)),
    # opendev.org/openstack/openstack-helm, placement/values.yaml, conf.placement_api_uwsgi.
    upstream(
        "openstack-helm",
        1,
        1,
        (1, 50),
        LAZY_APPS="true",
        THUNDER_LOCK="true",
        ADD_HEADER="Connection: close",
    ),
)

# The image with other numbers of processes and threads.
WORKERS = (
    product(PRODUCT, 2, 4),
    *(product(f"{p} x {t}", p, t) for p, t in ((1, 4), (2, 2), (2, 8), (2, 16), (4, 4))),
)
