"""Twisted's own Agent, over the two HTTP/1.1 connections that its pool keeps by default."""

from __future__ import annotations

from dataclasses import replace

from twisted.web.client import Agent, HTTPConnectionPool

from .base import Batch
from .on_twisted import TwistedClient


class Client(TwistedClient):
    """One Agent with a persistent pool."""

    connections = 2
    version = (b"HTTP", 1, 1)

    async def open(self) -> None:
        self.pool = HTTPConnectionPool(self.reactor)
        self.pool.maxPersistentPerHost = self.connections
        self.agent = Agent(self.reactor, pool=self.pool)

    async def close(self) -> None:
        await self.pool.closeCachedConnections()

    async def fetch(self, batch: Batch) -> None:
        concurrency = min(batch.concurrency, self.connections)
        await super().fetch(replace(batch, concurrency=concurrency))
