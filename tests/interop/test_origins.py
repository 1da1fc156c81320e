"""ORIGIN frames (RFC 8336) of a real server."""

from __future__ import annotations

import unittest

from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.trial.unittest import TestCase

from txhyper import HTTP2ClientProtocol, Request
from txhyper.protocol.negotiation import NegotiatingFactory

from .launchers import Node, running


@unittest.skipIf(Node.missing(), Node.missing())
class NodeTests(TestCase):
    """Node's http2 server, which writes them in a way of its own."""

    timeout = 60

    async def test_origins(self) -> None:
        """They are known by the time that the response behind them is there."""
        server = running(Node)
        trust = trustRootFromCertificates([Certificate.loadPEM(server.authority.pem)])
        endpoint = wrapClientTLS(
            optionsForClientTLS("localhost", trustRoot=trust),
            HostnameEndpoint(reactor, "localhost", server.port),
        )

        def speak() -> HTTP2ClientProtocol:
            return HTTP2ClientProtocol(reactor, "https://localhost")

        factory = NegotiatingFactory("https://localhost", speak, speak, [b"h2"])
        await endpoint.connect(factory)
        connection = await factory.ready
        self.assertIsNone(connection.originSet)
        response = await connection.request(Request(b"GET", server.url("/origins").encode()))
        self.assertEqual(204, response.code)
        self.assertEqual({b"https://b.test", b"https://c.test:8443"}, connection.originSet)
        connection.close()
        await connection.whenClosed()
