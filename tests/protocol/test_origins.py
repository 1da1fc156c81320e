"""Tests for :mod:`txhyper.protocol.origins`: ORIGIN frames, and who is told of them."""

from __future__ import annotations

from typing import Any

from tests.protocol.scene import ConnectionTestCase
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.testing.peer import MemoryTransport, ScriptedPeer

A, B = b"https://a.test", b"https://b.test"


class Negotiated(MemoryTransport):
    """TLS whose handshake is complete."""

    def __init__(self, chosen: bytes | None) -> None:
        super().__init__()
        self.negotiatedProtocol = chosen


class OriginSetTests(ConnectionTestCase):
    """What a connection knows of the origins that it is for (RFC 8336)."""

    def over(self, transport: MemoryTransport) -> list[Any]:
        """
        A connection over this transport, greeted.

        :return: filled with the set, each time that the hook is called.
        """
        self.peer = ScriptedPeer(self.clock)
        self.peer.transport = transport
        self.client = self.peer.connect(HTTP2ClientProtocol(self.clock, "https://a.test"))
        told: list[Any] = []
        self.client.onOriginSet = lambda client: told.append(client.originSet)
        self.greet()
        return told

    def test_told(self) -> None:
        """The set is there when the hook is called: once for each change."""
        told = self.over(Negotiated(b"h2"))
        self.assertIsNone(self.client.originSet)
        self.peer.sendOrigin()
        self.peer.sendOrigin(A)
        self.peer.sendOrigin(A, b"no origin")
        self.peer.sendOrigin(b"https://B.test:443")
        self.assertEqual([frozenset(), {A}, {A, B}], told)
        self.assertEqual({A, B}, self.client.originSet)

    def test_nobodyAsks(self) -> None:
        """Without a hook the set is kept all the same, and outlives the connection."""
        self.over(Negotiated(b"h2"))
        self.client.onOriginSet = None
        self.peer.sendOrigin(B)
        self.peer.loseConnection()
        self.assertEqual({B}, self.client.originSet)

    def test_onlyWhereTLSHasChosenH2(self) -> None:
        """Who has shown no certificate speaks for nobody (section 2.2)."""
        for transport in (MemoryTransport(), Negotiated(None)):
            told = self.over(transport)
            self.peer.sendOrigin(A, B)
            self.assertIsNone(self.client.originSet)
            self.assertEqual([], told)

    def test_requestsGoOn(self) -> None:
        """The frame changes nothing about the connection's own requests."""
        self.over(Negotiated(b"h2"))
        self.peer.sendOrigin(B)
        self.assertEqual(200, self.opened().code)
