"""Tests for :mod:`txhyper.client.dial`: the way to a connection, and who is told where it ended."""

from __future__ import annotations

from typing import Any
from unittest import mock

from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from tests.client.network import TLSTransport, Transport
from tests.client.scene import OK11, PoolTestCase
from txhyper.client import tls
from txhyper.errors import HandshakeTerminated, HandshakeTimedOut, NegotiationFailed


class ConnectTests(PoolTestCase):
    """TCP."""

    def test_errorIsTwistedsOwn(self) -> None:
        """A dial that fails fails all who wait for it, with the endpoint's own error."""
        deferreds = self.sendSome(3)
        refused = error.ConnectionRefusedError()
        self.only().connecting.errback(refused)
        for deferred in deferreds:
            self.assertIs(refused, self.failureResultOf(deferred).value)

    def test_failsAtOnce(self) -> None:
        """An endpoint may fail before its connect returns."""
        with mock.patch.object(self.network, "connect", lambda _: fail(error.DNSLookupError())):
            self.failureResultOf(self.send(), error.DNSLookupError)

    def test_raises(self) -> None:
        """An endpoint that raises has failed; the origin is none the worse for it."""
        with mock.patch.object(self.network, "connect", side_effect=KeyError("no route")):
            self.failureResultOf(self.send(), KeyError)
        deferred = self.send()
        self.answer(self.only().h2())
        self.bodyOf(deferred)

    def test_cancelled(self) -> None:
        """The last waiter who leaves cancels the endpoint's Deferred, and is told so."""
        deferred = self.send()
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        self.assertTrue(self.only().isCancelled)
        self.assertQuiet()

    def test_nothingBeforeTheHandshake(self) -> None:
        """Not an octet of HTTP leaves before TLS is complete."""
        deferred = self.send()
        connection = self.only().tcp()
        self.clock.advance(1)
        self.assertEqual([], connection.transport.writes)
        connection.tls().peer.greet()
        self.answer(connection)
        self.bodyOf(deferred)

    def test_withoutTLS(self) -> None:
        """A plain connection speaks HTTP/1.1 at once, and no time runs for a handshake."""
        deferred = self.send(origin="http://a.test")
        connection = self.only().tcp(tls=False)
        self.assertTrue(connection.transport.writes[0].startswith(b"GET / HTTP/1.1\r\n"))
        self.assertQuiet()
        connection.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))


class HandshakeTests(PoolTestCase):
    """Between TCP and HTTP."""

    def test_fails(self) -> None:
        """A handshake that fails is a failed negotiation, with the reason, and not repeated."""
        deferreds = self.sendSome(2)
        self.only().tcp()
        reason = SSL.Error([("SSL routines", "", "tls alert handshake failure")])
        self.only().negotiator.connectionLost(Failure(reason))
        for deferred in deferreds:
            failed = self.reasonOf(deferred, NegotiationFailed)
            self.assertIn("https://a.test: the TLS handshake failed: tls alert", str(failed))
            self.assertFalse(failed.retriable)
        self.assertEqual(1, len(self.dials))
        self.assertQuiet()

    def test_cutOff(self) -> None:
        """
        A server that hangs up in the handshake, as one does that is going down, is dialled once
        more, once for all who wait; they may be POSTs, as nothing was sent.
        """
        deferreds = [self.send(), self.send(b"POST")]
        self.only().tcp().lose()
        connection = self.dials[1].h2()
        self.assertEqual(2, len(self.dials))
        for deferred in deferreds:
            self.answer(connection, b"at last")
            self.assertEqual(b"at last", self.bodyOf(deferred))

    def test_cutOffAgain(self) -> None:
        """If it does so again, all who wait are told."""
        deferreds = self.sendSome(2)
        self.only().tcp().lose()
        self.dials[1].tcp().lose()
        for deferred in deferreds:
            failed = self.reasonOf(deferred, HandshakeTerminated)
            self.assertIn("https://a.test: the TLS handshake failed", str(failed))
            self.assertTrue(failed.retriable)
        self.assertEqual(2, len(self.dials))
        self.assertQuiet()

    def test_cutOffAndNotAutomatically(self) -> None:
        """Whoever wants no retries is told at once."""
        self.pool.retryAutomatically = False
        deferred = self.send()
        self.only().tcp().lose()
        self.reasonOf(deferred, HandshakeTerminated)
        self.assertEqual(1, len(self.dials))

    def test_cannotBegin(self) -> None:
        """A connection whose transport is gone when it may speak fails all who wait for it."""
        deferreds = self.sendSome(2)
        connection = self.only().tcp()
        gone = AttributeError("no transport")
        with mock.patch.object(connection.transport, "registerProducer", side_effect=gone):
            connection.tls()
        for deferred in deferreds:
            self.assertIs(gone, self.reasonOf(deferred, NegotiationFailed).__cause__)
        self.assertTrue(connection.transport.isAborted)
        connection.lose()
        self.clock.advance(0)
        self.assertQuiet()

    def test_advice(self) -> None:
        """Where no certificate can be trusted, the error tells the way out."""
        self.patch(tls, "hasPlatformRoots", lambda: False)
        deferred = self.send()
        self.only().tcp()
        reason = SSL.Error([("SSL routines", "", "certificate verify failed")])
        self.only().negotiator.connectionLost(Failure(reason))
        error = self.reasonOf(deferred, NegotiationFailed)
        self.assertIn("ca-certificates", str(error))
        self.assertIs(reason, error.__cause__)

    def test_timeLimit(self) -> None:
        """handshakeTimeout seconds after TCP, and not earlier, the connection is aborted."""
        self.pool.handshakeTimeout = 5
        deferreds = self.sendSome(2)
        self.clock.advance(60)
        connection = self.only().tcp()
        self.clock.advance(4.9)
        for deferred in deferreds:
            self.assertNoResult(deferred)
        self.clock.advance(0.1)
        for deferred in deferreds:
            late = self.reasonOf(deferred, HandshakeTimedOut)
            self.assertIn("5 s (option handshakeTimeout)", str(late))
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual([], connection.transport.writes)
        self.assertQuiet()

    def test_inTime(self) -> None:
        """A handshake that ends in time leaves no timer."""
        deferred = self.send()
        connection = self.only().tcp()
        self.clock.advance(29)
        connection.tls().peer.greet()
        self.clock.advance(60)
        self.assertFalse(connection.transport.isAborted)
        self.answer(connection)
        self.bodyOf(deferred)

    def test_cancelled(self) -> None:
        """The last waiter who leaves aborts the connection; no timer stays, nothing is logged."""
        first, second = self.sendSome(2)
        connection = self.only().tcp()
        first.cancel()
        self.reasonOf(first, CancelledError)
        self.assertFalse(connection.transport.isAborted)
        second.cancel()
        self.reasonOf(second, CancelledError)
        self.assertTrue(connection.transport.isAborted)
        self.assertQuiet()
        connection.lose()
        self.assertEqual([], self.flushLoggedErrors())

    def test_completeAtOnce(self) -> None:
        """A connection may be there, handshake and all, before connect returns."""

        def connect(factory: Any) -> Deferred[Any]:
            deferred: Deferred[Any] = network(factory)
            self.only().h2()
            return deferred

        network = self.network.connect
        with mock.patch.object(self.network, "connect", connect):
            deferred = self.send()
        self.answer(self.only())
        self.bodyOf(deferred)


class OutcomeTests(PoolTestCase):
    """What is told of a dial."""

    def test_connectsAllTheSame(self) -> None:
        """An endpoint that connects although it was cancelled: the connection is not kept."""
        deferred = self.send()
        connection = self.only()
        deferred.cancel()
        self.reasonOf(deferred, CancelledError)
        connection.peer.transport = TLSTransport()
        connection.negotiator = connection.peer.connect(connection.factory.buildProtocol(None))
        connection.negotiator.handshakeCompleted()
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual({}, self.pool._origins)

    def test_connectsAfterItFailed(self) -> None:
        """Likewise one that connects although it has failed."""
        deferred = self.send()
        connection = self.only()
        connection.connecting.errback(error.ConnectError())
        self.failureResultOf(deferred, error.ConnectError)
        connection.peer.transport = Transport()
        connection.negotiator = connection.peer.connect(connection.factory.buildProtocol(None))
        self.assertTrue(connection.transport.isAborted)
        self.assertEqual({}, self.pool._origins)

    def test_onlyOnce(self) -> None:
        """An endpoint that fails after its connection was ready is not listened to."""
        deferred = self.send()
        connection = self.only()
        connection.peer.transport = Transport()
        connection.negotiator = connection.peer.connect(connection.factory.buildProtocol(None))
        connection.connecting.errback(error.ConnectError())
        self.assertIsNone(self.successResultOf(connection.connecting))
        connection.peer.send(OK11)
        self.assertEqual(b"hi", self.bodyOf(deferred))
