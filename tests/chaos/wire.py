"""HTTP as a load of visitors needs it: kept connections, one request at a time on each.

Why our own: a request over httpx costs this process more than the service spends on it (0.7 ms),
and both share the machine. Redirects, cookies, compression and chunks are not needed here.
"""

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

TIMEOUT_S: Final = 4.0
LOST: Final = (OSError, EOFError, TimeoutError)
"""How a request ends that is not answered: refused, cut, or too slow."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body, parsed; nothing where there is none."""

    status: int
    body: Any


@dataclass(slots=True)
class Browser:
    """Connections to several ports of one host."""

    host: str
    idle: dict[int, list[Connection]] = field(default_factory=lambda: defaultdict(list))

    async def ask(
        self, port: int, method: str, target: str, *, headers: dict[str, str], body: bytes = b""
    ) -> Answer:
        """One request and its answer. Raises one of `LOST`."""
        lines = [
            f"{method} {target} HTTP/1.1", f"host: {self.host}:{port}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"content-length: {len(body)}", "", "",
        ]  # fmt: skip
        async with asyncio.timeout(TIMEOUT_S):
            idle = self.idle[port]
            reader, writer = idle.pop() if idle else await asyncio.open_connection(self.host, port)
            try:
                writer.write("\r\n".join(lines).encode() + body)
                answer = await _read(reader)
            except BaseException:
                writer.transport.abort()
                raise
            idle.append((reader, writer))
            return answer

    def close(self) -> None:
        """Cut everything."""
        for connections in self.idle.values():
            for _, writer in connections:
                writer.transport.abort()
        self.idle.clear()


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
    length = int(headers.get("content-length", "0"))
    body = await reader.readexactly(length)
    return Answer(int(head[0].split(" ")[1]), json.loads(body) if length else None)
