"""Nova's API on a loopback port, with compute hosts: `api.py CONFIG PORT NAME=UUID...`.

Nothing runs on the hosts. The databases are new files, and no message leaves this process.
"""

import os
import sys
from wsgiref.simple_server import WSGIServer, make_server

from nova import monkey_patch

monkey_patch.patch(backend="threading")

from socketserver import ThreadingMixIn  # noqa: E402

import nova.conf  # noqa: E402
from nova import objects  # noqa: E402
from nova.api.openstack import wsgi_app  # noqa: E402
from nova.context import get_admin_context, target_cell  # noqa: E402
from nova.db import migration  # noqa: E402

NAME = "osapi_compute"


class Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request."""


def create_databases() -> objects.CellMapping:
    """Create the databases of the API and of two cells, and return the second cell."""
    context = get_admin_context()
    migration.db_sync(database="api")
    main = nova.conf.CONF.database.connection
    for uuid, database in (
        (objects.CellMapping.CELL0_UUID, main.replace("main", "cell0")),
        ("11111111-0000-4000-8000-000000000000", main),
    ):
        cell = objects.CellMapping(
            context, uuid=uuid, name=uuid, transport_url="fake:/", database_connection=database
        )
        cell.create()
        with target_cell(context, cell) as cell_context:
            migration.db_sync(context=cell_context)
    return cell


def add_host(cell: objects.CellMapping, name: str, uuid: str) -> None:
    """Register a compute host."""
    context = get_admin_context()
    objects.HostMapping(context, host=name, cell_mapping=cell).create()
    numbers = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used")
    with target_cell(context, cell) as cell_context:
        service = objects.Service(
            cell_context, host=name, binary="nova-compute", topic="compute", report_count=1
        )
        service.create()
        objects.ComputeNode(
            cell_context,
            uuid=uuid,
            host=name,
            hypervisor_hostname=name,
            hypervisor_type="fake",
            hypervisor_version=1,
            cpu_info="{}",
            **dict.fromkeys(numbers, 8),
        ).create()


def main() -> None:
    """Create the databases, and serve."""
    path, port, *hosts = sys.argv[1:]
    sys.argv = ["nova-api"]
    files = [f"{sys.prefix}/etc/nova/api-paste.ini", path]
    os.environ["OS_NOVA_CONFIG_FILES"] = ";".join(files)
    wsgi_app.init_global_data(files, NAME, NAME)
    cell = create_databases()
    for host in hosts:
        add_host(cell, *host.split("="))
    application = wsgi_app.init_application(NAME, NAME)
    make_server("127.0.0.1", int(port), application, server_class=Server).serve_forever()


if __name__ == "__main__":
    main()
