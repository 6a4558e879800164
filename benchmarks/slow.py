"""A proxy that adds a delay to each request of each connection, as the way to an object store does.

Run: python benchmarks/slow.py PORT SECONDS. It prints its own port and ends when its input closes.
This module must not know what is requested.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 1024 * 1024


async def _serve(port: int, seconds: float) -> None:
    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, turn: list[bool]) -> None:
        """Pass answers on; what the client says next is a new request."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                turn[0] = True
                writer.write(data)
                await writer.drain()
        writer.close()

    held: set[asyncio.Task[None]] = set()  # the loop itself would let go of them

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            held.add(task)
            task.add_done_callback(held.discard)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * _CHUNK)
        turn = [True]
        answers = asyncio.create_task(passed(up_reader, writer, turn))
        held.add(answers)
        answers.add_done_callback(held.discard)
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if turn[0]:
                    turn[0] = False
                    await asyncio.sleep(seconds)
                up_writer.write(data)
                await up_writer.drain()
        up_writer.close()
        await answers

    server = await asyncio.start_server(met, "127.0.0.1", 0, limit=4 * _CHUNK, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
