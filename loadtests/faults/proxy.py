"""A proxy between a client and a server on a unix socket that can be told to misbehave."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

GARBAGE = b"\xffHTTP/1.1 200 OK\r\n\r\n<html>\r\n"


@dataclass
class ChaosProxy:
    """Passes bytes on, late by `delay_s`; or answers `garbage`; or hangs up after accepting.

    The next `lose` answers are lost. What a client sends from the first `hold` on is kept back
    for good, and `held` is set.
    """

    upstream: Path
    path: Path
    delay_s: float = 0.0
    garbage: bytes = b""
    lose: int = 0
    hang_up: bool = False
    hold: bytes = b""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: int = 0
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"unix://{self.path}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and drop all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """End the connections there are."""
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            if not self.hang_up:
                await self._exchange(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        back = asyncio.create_task(self._answer(up_reader, writer))
        try:
            while asked := await reader.read(65_536):
                if self.hold and self.hold in asked:
                    self.held.set()
                    await asyncio.Event().wait()
                up_writer.write(asked)
                await up_writer.drain()
        finally:
            up_writer.close()  # before the wait, which may be cancelled itself
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while told := await reader.read(65_536):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.lose:
                self.lose -= 1
                continue
            writer.write(self.garbage or told)
            await writer.drain()
        writer.close()
