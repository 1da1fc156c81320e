"""Tests for :mod:`txhyper.protocol.negotiation`, over TLS as it is, in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from zope.interface.verify import verifyObject

from tests.protocol.scene import Reader, ThreadedClock
from txhyper.core import frames
from txhyper.errors import HandshakeTimedOut, NegotiationFailed, ProtocolViolation
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.http11 import HTTP11ClientConnection
from txhyper.protocol.negotiation import NegotiatingFactory, Negotiator, _allowed, explain
from txhyper.protocol.request import Request
from txhyper.testing.certs import CertificateAuthority, HostCertificate, selfSigned
from txhyper.testing.peer import PREFACE, MemoryTransport

AUTHORITY = CertificateAuthority()
HONEST = AUTHORITY.issue("a.test")


class Server(Protocol):
    """What stands behind the server's TLS. It keeps what comes out of it."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.octets = b""
        self.greeting = greeting
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        """Speak first, if there is anything to say."""
        if self.greeting:
            self.transport.write(self.greeting)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.octets += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.lost = reason


class TLSTestCase(SynchronousTestCase):
    """A client and a server with TLS between them."""

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.http2 = HTTP2ClientProtocol(self.clock, "https://a.test")
        self.http11 = HTTP11ClientConnection(self.clock, "https://a.test")
        self.factory = NegotiatingFactory("https://a.test", lambda: self.http2, lambda: self.http11)

    def dial(
        self,
        server: Server,
        certificate: HostCertificate = HONEST,
        protocols: tuple[bytes, ...] = (b"h2", b"http/1.1"),
        greet: bool = True,
        **options: Any,
    ) -> IOPump:
        """Connect, and let everything happen that happens by itself."""
        if options:
            base = certificate.serverOptions()
            context = CertificateOptions(
                privateKey=base.privateKey,
                certificate=base.certificate,
                acceptableProtocols=list(protocols),
                **options,
            )
        else:
            context = certificate.serverOptions(protocols)
        if not protocols:
            # A server that knows no ALPN ignores the offer; Twisted's would refuse it.
            context.getContext().set_alpn_select_callback(
                lambda connection, offers: SSL.NO_OVERLAPPING_PROTOCOLS
            )
        trust = trustRootFromCertificates([Certificate.loadPEM(AUTHORITY.pem)])
        listening = Factory.forProtocol(lambda: server)
        serverTLS = TLSMemoryBIOFactory(context, False, listening, self.clock)
        clientTLS = TLSMemoryBIOFactory(
            optionsForClientTLS("a.test", trust), True, self.factory, self.clock
        )
        one, two = serverTLS.buildProtocol(None), clientTLS.buildProtocol(None)
        return connect(
            one,
            FakeTransport(one, True),
            two,
            FakeTransport(two, False),
            greet=greet,
            clock=self.clock,
        )

    def assertNothingOfHTTP(self, server: Server) -> NegotiationFailed:
        """The dial failed before a word of HTTP was sent."""
        error = self.failureResultOf(self.factory.ready, NegotiationFailed).value
        self.assertEqual(b"", server.octets)
        self.assertIn("https://a.test: ", str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual([], self.clock.getDelayedCalls())
        assert isinstance(error, NegotiationFailed)
        return error


class ALPNTests(TLSTestCase):
    """What the server chooses is spoken."""

    def test_interfaces(self) -> None:
        """Twisted is told of the offers, and tells of the handshake."""
        verifyObject(IProtocolNegotiationFactory, self.factory)
        verifyObject(IHandshakeListener, Negotiator(self.factory))

    def test_offers(self) -> None:
        """h2 is preferred; whoever wants to may offer less."""
        self.assertEqual([b"h2", b"http/1.1"], list(self.factory.acceptableProtocols()))
        less = NegotiatingFactory("x", lambda: self.http2, lambda: self.http11, [b"http/1.1"])
        self.assertEqual([b"http/1.1"], list(less.acceptableProtocols()))

    def test_http2(self) -> None:
        """A server that chooses h2 is spoken to in HTTP/2: greeting and request in one write."""
        server = Server()
        self.factory.ready.addCallback(
            lambda connection: connection.request(Request(b"GET", b"https://a.test/"))
        )
        self.dial(server)
        self.assertTrue(server.octets.startswith(PREFACE))
        kinds = [kind for kind, *_ in frames.cut(server.octets[len(PREFACE) :])]
        self.assertEqual([frames.SETTINGS, frames.WINDOW_UPDATE, frames.HEADERS], kinds)

    def test_aWholeExchange(self) -> None:
        """A response comes back through the same connection, and its end is told."""
        server = Server()
        pump = self.dial(server)
        connection = self.successResultOf(self.factory.ready)
        self.assertIs(self.http2, connection)
        deferred = connection.request(Request(b"GET", b"https://a.test/"))
        pump.flush()
        server.transport.write(  # type: ignore[union-attr]
            frames.pack(frames.SETTINGS, 0, 0)
            + frames.pack(frames.HEADERS, 4, 1, b"\x88")
            + frames.pack(frames.DATA, 1, 1, b"hello")
        )
        pump.flush()
        reader = Reader()
        self.successResultOf(deferred).deliverBody(reader)
        self.assertEqual((b"hello", True), (reader.body, reader.isDone))
        closed = connection.whenClosed()
        connection.close()
        pump.flush()
        self.successResultOf(closed)
        assert server.lost is not None
        server.lost.trap(ConnectionDone)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_http11OrNothing(self) -> None:
        """One that chooses http/1.1, or knows no ALPN, gets HTTP/1.1 over the same TLS."""
        for protocols in ((b"http/1.1",), ()):
            self.setUp()
            server = Server()
            pump = self.dial(server, protocols=protocols)
            connection = self.successResultOf(self.factory.ready)
            self.assertIs(self.http11, connection)
            deferred = connection.request(Request(b"GET", b"https://a.test/x"))
            pump.flush()
            self.assertTrue(server.octets.startswith(b"GET /x HTTP/1.1\r\n"), server.octets)
            server.transport.write(  # type: ignore[union-attr]
                b"HTTP/1.1 204 No Content\r\n\r\n"
            )
            pump.flush()
            self.assertEqual(204, self.successResultOf(deferred).code)

    def test_garbageAfterH2(self) -> None:
        """A server that chooses h2 and then speaks something else is found out at once."""
        server = Server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        failed: list[Deferred[Any]] = []
        self.factory.ready.addCallback(
            lambda connection: failed.append(
                connection.request(Request(b"GET", b"https://a.test/"))
            )
        )
        self.dial(server)
        failure = self.failureResultOf(failed[0], ResponseNeverReceived)
        self.assertIsInstance(failure.value.reasons[0].value, ProtocolViolation)
        self.assertFalse(self.http2.isUsable())

    def test_withoutTLS(self) -> None:
        """Without TLS there is nothing to wait for: HTTP/1.1."""
        transport = MemoryTransport()
        self.factory.buildProtocol(None).makeConnection(transport)
        self.assertIs(self.http11, self.successResultOf(self.factory.ready))
        self.assertEqual([], transport.writes)


class CertificateTests(TLSTestCase):
    """Nothing of HTTP is sent to somebody who might be anybody."""

    def test_notSentBeforeTheHandshake(self) -> None:
        """Octet by octet: as long as the handshake lasts, there is no protocol to speak."""
        server = Server()
        pump = self.dial(server, greet=False)
        while not self.factory.ready.called:
            self.assertEqual(b"", server.octets)
            self.assertTrue(pump.pump())
        pump.flush()
        self.assertNotEqual(b"", server.octets)

    def test_wrongName(self) -> None:
        """A certificate for another host."""
        server = Server()
        self.dial(server, AUTHORITY.issue("b.test"))
        self.assertIn("a.test", str(self.assertNothingOfHTTP(server)).split(": ", 1)[1])

    def test_selfSigned(self) -> None:
        """A certificate that nobody has vouched for."""
        server = Server()
        self.dial(server, selfSigned("a.test"))
        error = self.assertNothingOfHTTP(server)
        self.assertIn("certificate verify failed", str(error))
        self.assertIsInstance(error.__cause__, SSL.Error)

    def test_anotherAuthority(self) -> None:
        """A certificate of an authority that is not trusted here."""
        server = Server()
        self.dial(server, CertificateAuthority().issue("a.test"))
        self.assertIn("certificate verify failed", str(self.assertNothingOfHTTP(server)))

    def test_expired(self) -> None:
        """A certificate that was right once, and one that is not right yet."""
        day = timedelta(days=1)
        now = datetime.now(timezone.utc)
        for certificate in (
            AUTHORITY.issue("a.test", notAfter=now - day),
            AUTHORITY.issue("a.test", notBefore=now + day),
        ):
            self.setUp()
            server = Server()
            self.dial(server, certificate)
            self.assertIn("certificate verify failed", str(self.assertNothingOfHTTP(server)))

    def test_prohibitedSuite(self) -> None:
        """A cipher suite of TLS 1.2 that HTTP/2 prohibits is refused (RFC 9113 section 9.2.2)."""
        options = {
            "insecurelyLowerMinimumTo": TLSVersion.TLSv1_2,
            "lowerMaximumSecurityTo": TLSVersion.TLSv1_2,
            "acceptableCiphers": AcceptableCiphers.fromOpenSSLCipherString(
                "ECDHE-ECDSA-AES128-SHA"
            ),
        }
        server = Server()
        self.dial(server, **options)
        error = self.assertNothingOfHTTP(server)
        self.assertIn("ECDHE-ECDSA-AES128-SHA", str(error))
        self.assertIn("INADEQUATE_SECURITY", str(error))

    def test_prohibitedOnlyForHTTP2(self) -> None:
        """Over HTTP/1.1 the same suite is the policy's business, not ours."""
        server = Server()
        self.dial(
            server,
            protocols=(b"http/1.1",),
            lowerMaximumSecurityTo=TLSVersion.TLSv1_2,
            insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString("ECDHE-ECDSA-AES128-SHA"),
        )
        self.assertIs(self.http11, self.successResultOf(self.factory.ready))

    def test_suites(self) -> None:
        """Allowed is what has an ephemeral key exchange and an AEAD cipher."""
        for suite in (
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-CHACHA20-POLY1305",
            "DHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES128-CCM",
        ):
            self.assertTrue(_allowed(suite), suite)
        for suite in (
            "AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-SHA",
            "ECDHE-RSA-AES256-SHA384",
            "DES-CBC3-SHA",
            "PSK-AES128-GCM-SHA256",
            "ADH-AES128-GCM-SHA256",
        ):
            self.assertFalse(_allowed(suite), suite)


class EndTests(TLSTestCase):
    """Dials that end before there is a protocol."""

    def test_theServerHangsUp(self) -> None:
        """The network's own failure is told as one of the handshake."""
        pump = self.dial(Server(), greet=False)
        pump.pump()
        pump.clientIO.protocol.connectionLost(Failure(ConnectionLost()))
        error = self.failureResultOf(self.factory.ready, NegotiationFailed).value
        self.assertIn("the TLS handshake failed", str(error))
        self.assertIsInstance(error.__cause__, ConnectionLost)

    def test_abort(self) -> None:
        """Whoever keeps the time may end it, with a reason of their own."""
        server = Server()
        pump = self.dial(server, greet=False)
        pump.pump()
        self.factory.abort(HandshakeTimedOut("too late"))
        self.failureResultOf(self.factory.ready, HandshakeTimedOut)
        self.factory.abort(HandshakeTimedOut("again"))
        pump.flush()
        self.assertEqual(b"", server.octets)
        self.assertTrue(pump.clientIO.disconnected)

    def test_abortAfterTheChoice(self) -> None:
        """Once there is a protocol, it is too late for that."""
        pump = self.dial(Server())
        self.factory.abort(HandshakeTimedOut("too late"))
        self.assertTrue(self.successResultOf(self.factory.ready).isUsable())
        self.assertFalse(pump.clientIO.disconnecting)

    def test_cancel(self) -> None:
        """Cancelling the dial cuts the connection, and nothing of HTTP is sent."""
        server = Server()
        pump = self.dial(server, greet=False)
        pump.pump()
        self.factory.ready.cancel()
        self.failureResultOf(self.factory.ready, CancelledError)
        pump.flush()
        self.assertEqual(b"", server.octets)
        self.assertTrue(pump.clientIO.disconnected)

    def test_cancelBeforeTCP(self) -> None:
        """There may be nothing to cut yet."""
        self.factory.ready.cancel()
        self.failureResultOf(self.factory.ready, CancelledError)

    def test_theProtocolIsToldOfItsEnd(self) -> None:
        """After the choice the end is the chosen protocol's."""
        pump = self.dial(Server())
        closed = self.successResultOf(self.factory.ready).whenClosed()
        pump.clientIO.protocol.connectionLost(Failure(ConnectionLost()))
        self.successResultOf(closed)


class Unable:
    """A protocol that cannot begin."""

    def __init__(self, begins: Callable[[Any], object]) -> None:
        self._begins = begins
        self.lost = 0

    def makeConnection(self, transport: Any) -> None:
        """Do what the test wants."""
        self._begins(transport)

    def connectionLost(self, reason: Failure) -> None:
        """Count it."""
        self.lost += 1


def _raise(*args: Any) -> Any:
    raise AttributeError("no transport")


class BeginningTests(SynchronousTestCase):
    """Connections that end while their protocol begins: whoever dialled is told, and once."""

    def begin(self, make: Callable[[], Any], transport: Any) -> Negotiator:
        """Connect without TLS."""
        self.factory = NegotiatingFactory("http://a.test", make, make)
        negotiator = self.factory.buildProtocol(None)
        negotiator.makeConnection(transport)
        return negotiator

    def failed(self) -> Any:
        """What the dial has failed with."""
        return self.failureResultOf(self.factory.ready, NegotiationFailed).value

    def test_raises(self) -> None:
        """A protocol that cannot begin fails the dial, and the connection is cut."""
        transport, speaker = MemoryTransport(), Unable(_raise)
        negotiator = self.begin(lambda: speaker, transport)
        error = self.failed()
        self.assertIn("http://a.test: the connection could not begin: no transport", str(error))
        self.assertIsInstance(error.__cause__, AttributeError)
        self.assertTrue(transport.isAborted)
        negotiator.dataReceived(b"late")
        negotiator.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(0, speaker.lost)

    def test_cannotBeMade(self) -> None:
        """Nor can one be that is not even made."""
        transport = MemoryTransport()
        self.begin(_raise, transport)
        self.failed()
        self.assertTrue(transport.isAborted)

    def test_endsMeanwhile(self) -> None:
        """A connection that is lost within the beginning is nobody's connection."""
        speaker = Unable(lambda _: negotiator.connectionLost(Failure(ConnectionLost())))
        self.factory = NegotiatingFactory("http://a.test", lambda: speaker, lambda: speaker)
        negotiator = self.factory.buildProtocol(None)
        negotiator.makeConnection(MemoryTransport())
        self.assertIn("the connection ended as it began", str(self.failed()))
        self.assertEqual(1, speaker.lost)

    def test_tooLate(self) -> None:
        """A handshake that is completed after the dial has failed makes nobody speak."""
        self.factory = NegotiatingFactory("http://a.test", _raise, _raise)
        negotiator = self.factory.buildProtocol(None)
        self.factory.ready.cancel()
        self.failureResultOf(self.factory.ready, CancelledError)
        transport = MemoryTransport()
        negotiator.makeConnection(transport)
        self.assertEqual(([], False), (transport.writes, transport.isAborted))

    def test_refusedWithoutATransport(self) -> None:
        """There is nothing to cut where the transport is gone, or does not come."""
        factory = NegotiatingFactory("http://a.test", _raise, _raise)
        factory.buildProtocol(None)
        factory.abort(HandshakeTimedOut("too late"))
        self.failureResultOf(factory.ready, HandshakeTimedOut)

    def test_cannotBeCut(self) -> None:
        """A transport that cannot be aborted is logged, and the failure is told all the same."""
        transport = MemoryTransport()
        with mock.patch.object(transport, "abortConnection", _raise):
            self.begin(lambda: Unable(_raise), transport)
        self.failed()
        self.assertEqual(1, len(self.flushLoggedErrors(AttributeError)))


class ExplainTests(SynchronousTestCase):
    """Failed handshakes in one line."""

    def test_openSSL(self) -> None:
        """OpenSSL's tuples are read, and an empty list means what it means."""
        errors = [("SSL routines", "", "certificate verify failed"), ("", "", "unknown ca")]
        self.assertEqual("certificate verify failed; unknown ca", explain(SSL.Error(errors)))
        self.assertEqual("the server hung up", explain(SSL.Error([])))

    def test_others(self) -> None:
        """Others say it themselves, or at least have a name."""
        self.assertEqual("no", explain(ValueError("no")))
        self.assertEqual("SysCallError", explain(SSL.SysCallError()))
