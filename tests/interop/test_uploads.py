"""Bodies of every kind, side by side: each server gets each of them octet for octet."""

from __future__ import annotations

import unittest
from collections.abc import AsyncIterator, Callable
from io import BytesIO

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import FileBodyProducer

from txhyper import Agent, Request
from txhyper.client.tls import policyTrusting

from . import bodies
from .fetching import Relay, digestOf
from .launchers import Hypercorn, Launcher, Nghttpd, Node, StoringNginx, TwistedWeb, running
from .receipts import Counting, Echoing, Storing


async def asynchronously(size: int) -> AsyncIterator[bytes]:
    """The body of this size; every other block takes a turn of the reactor to come."""
    for number, block in enumerate(bodies.blocks(size)):
        if number % 2:
            await deferLater(reactor, 0)
        yield block


#: The kinds of body, each made from its size.
KINDS: dict[str, Callable[[int], object]] = {
    "bytes": bodies.body,
    "file": lambda size: BytesIO(bodies.body(size)),
    "iterable": bodies.blocks,
    "async-iterable": asynchronously,
    "producer": lambda size: FileBodyProducer(BytesIO(bodies.body(size))),
}


class UploadTests:
    """What holds for every server; each class below names one, and how it tells what it got."""

    launcher: type[Launcher]
    timeout = 60

    def setUp(self) -> None:
        self.server = running(self.launcher)
        self.relay = Relay(reactor, self.server.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.relay.stop()))
        self.agent = Agent(reactor, policyTrusting(self.server.authority.pem))
        self.addCleanup(self.agent.close)

    async def upload(self, kind: str, size: int) -> None:
        """Send a body of this kind and size, and compare what the server got."""
        name = f"{kind}-{size}"
        url = self.relay.url(self.target(name))
        response = await self.agent.send(Request(self.method, url, None, KINDS[kind](size)))
        count, sha256 = await digestOf(response)
        self.checkReceipt(name, size, (response.code, count, sha256))

    async def test_parallel(self) -> None:
        """Twenty uploads at once over one connection, each of another size, do not mix."""
        sizes = iter(range(bodies.MEBIBYTE, bodies.MEBIBYTE + 20))
        uploads = [(kind, next(sizes)) for _ in range(4) for kind in KINDS]
        await gatherResults([Deferred.fromCoroutine(self.upload(*each)) for each in uploads])
        self.assertEqual(self.relay.accepted, 1)

    async def test_empty(self) -> None:
        """A body of no octets is a body as well, whatever its kind."""
        await gatherResults([Deferred.fromCoroutine(self.upload(kind, 0)) for kind in KINDS])


class TwistedWebUploadTests(Counting, UploadTests, TestCase):
    """Twisted's own web server."""

    launcher = TwistedWeb


class HypercornUploadTests(Counting, UploadTests, TestCase):
    """hypercorn."""

    launcher = Hypercorn


class NodeUploadTests(Counting, UploadTests, TestCase):
    """Node's http2 server."""

    launcher = Node


@unittest.skipIf(Nghttpd.missing(), Nghttpd.missing())
class NghttpdUploadTests(Echoing, UploadTests, TestCase):
    """nghttp2's server."""

    launcher = Nghttpd


@unittest.skipIf(StoringNginx.missing(), StoringNginx.missing())
class NginxUploadTests(Storing, UploadTests, TestCase):
    """nginx."""

    launcher = StoringNginx
