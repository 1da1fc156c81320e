"""txhyper: its Agent, by default over HTTP/2."""

from __future__ import annotations

from txhyper import Agent

from .on_twisted import TwistedClient


class Client(TwistedClient):
    """One Agent with the pool that it makes."""

    async def open(self) -> None:
        self.agent = Agent(self.reactor)

    async def close(self) -> None:
        await self.agent.close()
