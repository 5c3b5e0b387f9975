"""The engine that tools/bootstrap found does what the tests rely on."""

from __future__ import annotations

import subprocess

from tests.support.containers import new_name, remove, succeed

# So many that with addresses by chance the bridge's changes, but for one run in eight.
NUMBER = 8
PYTHON = "/opt/placement/bin/python3"
# Process 1 has no default for SIGTERM.
STAY = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
# Ask the gateway for anything, and say which MAC address the kernel then knows of it.
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


def test_a_network_keeps_its_gateways_address_while_containers_come(
    engine: str, newest: str
) -> None:
    """Otherwise what a container sends to this machine gets lost, until it asks again."""
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
