"""Servers that do not speak HTTP/2 are served by HTTP/1.1, on the connection that found it out."""

from __future__ import annotations

import os
from io import BytesIO

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase
from twisted.web.client import FileBodyProducer, readBody
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from txhyper import Agent
from txhyper.client.tls import policyTrusting

from .fetching import CountingFactory
from .launchers import authority

HTTP11 = (b"HTTP", 1, 1)


class Greeting(Resource):
    """Says which protocol it was asked in; sends back what is posted."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"asked in " + request.clientproto

    def render_POST(self, request: Request) -> bytes:
        body: bytes = request.content.read()
        return body


class HTTP11Site(Site):
    """A site that offers HTTP/1.1 in the handshake, and nothing else."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


class OldServerTests:
    """What holds for both kinds of server; each class below has one of them."""

    timeout = 30

    def setUp(self) -> None:
        directory = self.mktemp()
        os.makedirs(directory)
        host = authority().issue("localhost", "127.0.0.1")
        certificate, key = map(str, host.writeTo(directory))
        context = DefaultOpenSSLContextFactory(key, certificate)
        site = TLSMemoryBIOFactory(context, isClient=False, wrappedFactory=self.site())
        self.counted = CountingFactory(site)
        self.listening = reactor.listenTCP(0, self.counted, interface="127.0.0.1")
        self.addCleanup(self.counted.whenOver)
        self.addCleanup(self.listening.stopListening)
        self.agent = Agent(reactor, policyTrusting(authority().pem))
        self.addCleanup(self.agent.close)

    def url(self) -> bytes:
        """Where the server answers."""
        return f"https://localhost:{self.listening.getHost().port}/".encode()

    async def get(self) -> bytes:
        """Get the greeting over HTTP/1.1."""
        response = await self.agent.request(b"GET", self.url())
        self.assertEqual((response.version, response.code), (HTTP11, 200))
        return await readBody(response)

    async def test_sameConnection(self) -> None:
        """The request goes out on the very connection whose handshake said no to HTTP/2."""
        self.assertEqual(await self.get(), b"asked in HTTP/1.1")
        self.assertEqual(len(self.counted.accepted), 1)

    async def test_reused(self) -> None:
        """The connection stays, and carries the next request as well."""
        for _ in range(3):
            self.assertEqual(await self.get(), b"asked in HTTP/1.1")
        self.assertEqual(len(self.counted.accepted), 1)

    async def test_concurrent(self) -> None:
        """HTTP/1.1 cannot share a connection, so requests at once get one each, and all answers."""
        answers = await gatherResults([Deferred.fromCoroutine(self.get()) for _ in range(10)])
        self.assertEqual(answers, [b"asked in HTTP/1.1"] * 10)

    async def test_upload(self) -> None:
        """A request's body reaches a server of HTTP/1.1 as well."""
        octets = bytes(range(256)) * 1024
        producer = FileBodyProducer(BytesIO(octets))
        response = await self.agent.request(b"POST", self.url(), None, producer)
        self.assertEqual(response.version, HTTP11)
        self.assertEqual(await readBody(response), octets)


class OffersHTTP11Tests(OldServerTests, TestCase):
    """A server that negotiates, and knows HTTP/1.1 alone."""

    def site(self) -> object:
        return HTTP11Site(Greeting())


class NoALPNTests(OldServerTests, TestCase):
    """A server that has never heard of ALPN."""

    def site(self) -> object:
        # A factory around the site that does not say it can negotiate: so TLS does not.
        return CountingFactory(Site(Greeting()))
