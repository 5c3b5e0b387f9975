"""A proxy that refuses GET_LOCK as Percona XtraDB Cluster (1105) or MariaDB's Galera (1235) does.

Arguments: the address of the server and the number of the error. A container runs this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter

PORT = 3306
REFUSALS = {
    1105: b"#HY000Percona-XtraDB-Cluster prohibits use of GET_LOCK"
    b" with pxc_strict_mode = ENFORCING",
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


async def relay(reader: StreamReader, writer: StreamWriter, server: str, code: int) -> None:
    """Connect a client with the server, and refuse its statements with GET_LOCK."""
    from_server, to_server = await asyncio.open_connection(server, PORT)
    forwarding = asyncio.create_task(forward(from_server, writer))
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            *size, number = await reader.readexactly(4)
            payload = await reader.readexactly(int.from_bytes(size, "little"))
            if number == 0 and payload.startswith(QUERY) and b"GET_LOCK" in payload.upper():
                writer.write(packet(1, b"\xff" + code.to_bytes(2, "little") + REFUSALS[code]))
            else:
                to_server.write(packet(number, payload))
            await asyncio.gather(writer.drain(), to_server.drain())
    to_server.close()
    await forwarding


async def main(server: str, code: int) -> None:
    """Accept clients until the container is removed."""
    listener = await asyncio.start_server(
        lambda reader, writer: relay(reader, writer, server, code), port=PORT
    )
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
