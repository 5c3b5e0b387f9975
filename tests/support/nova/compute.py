"""A compute host of Nova: `compute.py URL UUID NAME`, run with Nova's packages.

Nova's own client of Placement keeps what it has read from one update to the next. Each line of
standard input is a command, and each is answered with a line: the number of conflicts, after which
Nova reads again, as its resource tracker does.

- update N: report an inventory with N processors
- add UUID, remove UUID: change the membership in a host aggregate, as nova-api does
"""

import sys

import nova.conf
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token
from nova.context import RequestContext
from nova.exception import ResourceProviderUpdateConflict
from nova.scheduler.client.report import SchedulerReportClient


def main() -> None:
    """Run the commands."""
    url, uuid, name = sys.argv[1:]
    nova.conf.CONF([], project="nova", default_config_files=[])
    # As nova.utils.get_sdk_adapter.
    adapter = Adapter(Session(Token(url, "admin")), service_type="placement", raise_exc=False)
    client = SchedulerReportClient(adapter)
    context = RequestContext()

    def update(total: str) -> int:
        conflicts = 0
        while True:
            tree = client.get_provider_tree_and_ensure_root(context, uuid, name=name)
            inventory = {
                "total": int(total),
                "reserved": 0,
                "min_unit": 1,
                "max_unit": int(total),
                "step_size": 1,
                "allocation_ratio": 1.0,
            }
            tree.update_inventory(uuid, {"VCPU": inventory})
            tree.add_traits(uuid, "COMPUTE_NODE")
            try:
                client.update_from_provider_tree(context, tree)
            except ResourceProviderUpdateConflict:
                conflicts += 1
            else:
                return conflicts

    def add(aggregate: str) -> int:
        client.aggregate_add_host(context, aggregate, host_name=name)
        return 0

    def remove(aggregate: str) -> int:
        client.aggregate_remove_host(context, aggregate, name)
        return 0

    commands = {"update": update, "add": add, "remove": remove}
    for line in sys.stdin:
        command, argument = line.split()
        print(commands[command](argument), flush=True)


if __name__ == "__main__":
    main()
