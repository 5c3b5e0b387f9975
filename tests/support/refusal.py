"""A proxy that refuses some statements, as Percona XtraDB Cluster and MariaDB's Galera do.

Arguments: the address of the server, the number of the error, the text in the statements, and how
many of them are refused. A container runs this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

PORT = 3306
REFUSALS = {
    1105: b"#HY000Percona-XtraDB-Cluster prohibits use of GET_LOCK"
    b" with pxc_strict_mode = ENFORCING",
    1213: b"#40001Deadlock found when trying to get lock; try restarting transaction",
    1235: b"#42000This version of MariaDB doesn't yet support 'GET_LOCK in cluster (WSREP_ON=ON)'",
}
QUERY = b"\x03"


def packet(number: int, payload: bytes) -> bytes:
    """Return a packet of MySQL's protocol."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


async def forward(reader: StreamReader, writer: StreamWriter) -> None:
    """Forward what the server sends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class Refusal:
    """Which statements are refused, with which error, and how many of them still are."""

    code: int
    text: bytes
    remaining: int

    def answer(self, number: int, payload: bytes) -> bytes:
        """Return the packet that refuses a client's packet, or nothing."""
        refused = number == 0 and payload.startswith(QUERY) and self.text in payload
        if not refused or not self.remaining:
            return b""
        self.remaining -= 1
        return packet(1, b"\xff" + self.code.to_bytes(2, "little") + REFUSALS[self.code])


async def relay(reader: StreamReader, writer: StreamWriter, server: str, refusal: Refusal) -> None:
    """Connect a client with the server, and refuse some of its statements."""
    from_server, to_server = await asyncio.open_connection(server, PORT)
    forwarding = asyncio.create_task(forward(from_server, writer))
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            *size, number = await reader.readexactly(4)
            payload = await reader.readexactly(int.from_bytes(size, "little"))
            if refused := refusal.answer(number, payload):
                writer.write(refused)
            else:
                to_server.write(packet(number, payload))
            await asyncio.gather(writer.drain(), to_server.drain())
    to_server.close()
    await forwarding


async def main(server: str, refusal: Refusal) -> None:
    """Accept clients until the container is removed."""
    listener = await asyncio.start_server(
        lambda reader, writer: relay(reader, writer, server, refusal), port=PORT
    )
    await listener.serve_forever()


if __name__ == "__main__":
    server, code, text, count = sys.argv[1:]
    asyncio.run(main(server, Refusal(int(code), text.encode(), int(count))))
