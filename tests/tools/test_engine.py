"""The engine that tools/bootstrap found does what the tests rely on."""

from __future__ import annotations

import subprocess

from tests.containers import Output, new_name, remove

# Those on the network from the second on: with addresses by chance, each may change the bridge's.
MORE = 7
# Ask the gateway for anything, and say which MAC address the kernel then knows of it.
GATEWAY = """
import contextlib, signal, socket, struct, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # process 1 has no default for it
routes = [line.split() for line in open("/proc/net/route")]
[gateway] = [route[2] for route in routes if route[1] == "00000000"]
address = socket.inet_ntoa(struct.pack("<L", int(gateway, 16)))
with contextlib.suppress(OSError):
    socket.create_connection((address, 1), 5)
for line in open("/proc/net/arp"):
    if line.split()[0] == address:
        print(line.split()[3], flush=True)
time.sleep(300)
"""


def test_a_network_keeps_its_gateways_address_while_containers_come(
    engine: str, newest: str
) -> None:
    """Otherwise what a container sends to this machine gets lost, until it asks again."""
    network = new_name()
    names = [new_name() for _ in range(1 + MORE)]
    options = ("--network", network, "--entrypoint=/opt/placement/bin/python3")
    succeeds(engine, "network", "create", network)
    try:
        for name in names:
            succeeds(engine, "run", "--detach", "--name", name, *options, newest, "-c", GATEWAY)
        seen = [first_line(engine, name) for name in names]
        assert seen == seen[:1] * len(names)
    finally:
        for name in names:
            remove(engine, name)
        succeeds(engine, "network", "rm", network)


def succeeds(*command: str) -> Output:
    """Run a command, which has to succeed."""
    return subprocess.run(command, text=True, capture_output=True, check=True)


def first_line(engine: str, name: str) -> str:
    """Wait for the first line that a container prints."""
    following = subprocess.Popen(
        [engine, "logs", "--follow", name], text=True, stdout=subprocess.PIPE
    )
    with following:
        assert following.stdout
        line = following.stdout.readline()
        following.terminate()
    return line
