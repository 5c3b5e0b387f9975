"""The container engine that tools/bootstrap selected meets the requirements of the tests."""

from __future__ import annotations

import subprocess

from tests.support.containers import new_name, remove, succeed

# With random addresses, eight containers change the address of the bridge in seven of eight runs.
NUMBER = 8
PYTHON = "/opt/placement/bin/python3"
# Process 1 ignores SIGTERM by default.
STAY = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
# Open a connection to the gateway, and print the MAC address that the kernel learned for it.
GATEWAY = """
import contextlib, socket, struct
routes = [line.split() for line in open("/proc/net/route")]
[gateway] = [route[2] for route in routes if route[1] == "00000000"]
address = socket.inet_ntoa(struct.pack("<L", int(gateway, 16)))
with contextlib.suppress(OSError):
    socket.create_connection((address, 1), 5)
[mac] = [line.split()[3] for line in open("/proc/net/arp") if line.split()[0] == address]
print(mac)
"""


def test_network_keeps_its_gateways_address_while_containers_start(
    engine: str, newest: str
) -> None:
    """If the address changes, packets of containers to this machine are lost for a while."""
    network = new_name()
    names = [new_name() for _ in range(NUMBER)]
    start = (engine, "run", "--detach", "--network", network, f"--entrypoint={PYTHON}")
    seen = []
    succeed(engine, "network", "create", network)
    try:
        for name in names:
            succeed(*start, "--name", name, newest, "-c", STAY)
            asking = [engine, "exec", name, PYTHON, "-c", GATEWAY]
            seen.append(subprocess.check_output(asking, text=True))
        assert seen == seen[:1] * NUMBER
    finally:
        for name in names:
            remove(engine, name)
        succeed(engine, "network", "rm", network)
