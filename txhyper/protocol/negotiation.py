"""
Which protocol a new connection speaks, and when it may begin to.

Owns the time between TCP and HTTP: it offers h2 and http/1.1 by ALPN, waits until the handshake is
complete and the certificate verified, and then puts the protocol that was chosen in its place.
Nothing of HTTP is sent before that moment. A server that chooses http/1.1, or knows no ALPN, is
spoken to in HTTP/1.1 over the same connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    INegotiated,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txhyper.errors import HandshakeTerminated, HyperError, NegotiationFailed
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.failures import explain

__all__ = ["NegotiatingFactory", "Negotiator"]

#: The suites of TLS 1.2 that RFC 9113 appendix A does not prohibit: an ephemeral key exchange
#: and an AEAD cipher. TLS 1.3 has no others.
_allowed = re.compile(r"(?:TLS_|(?:EC)?DHE-.*(?:GCM|CHACHA20|CCM))").match

#: What is offered by ALPN, best first.
OFFERS = (b"h2", b"http/1.1")

#: A connection that is a protocol as well, as both of ours are.
Speaker = Any


@implementer(IHandshakeListener)
class Negotiator(Protocol):
    """The protocol of a connection that has none yet."""

    _log = Logger()

    def __init__(self, factory: NegotiatingFactory) -> None:
        self._factory = factory
        self._speaker: Speaker = None

    def connectionMade(self) -> None:
        """Without TLS there is nothing to wait for, and nothing to negotiate."""
        if not INegotiated.providedBy(self.transport):
            if self._factory.isPriorKnowledge:
                self._speak(self._factory.makeHTTP2)
            else:
                self._speakHTTP11()

    def handshakeCompleted(self) -> None:
        """
        The handshake is complete and the peer's certificate holds: choose what ALPN says.

        Twisted calls this only over TLS, and only when no verification has failed.
        """
        transport = cast(Any, self.transport)
        if transport.negotiatedProtocol != b"h2":
            self._speakHTTP11()
            return
        suite = transport.getHandle().get_cipher_name()
        if _allowed(suite):
            self._speak(self._factory.makeHTTP2)
        else:
            self.refuse(
                NegotiationFailed(
                    f"{self._factory.origin}: the server chose the cipher suite {suite}, which "
                    "HTTP/2 prohibits (RFC 9113 section 9.2.2, INADEQUATE_SECURITY)"
                )
            )

    def _speakHTTP11(self) -> None:
        """There is no HTTP/2 here: speak HTTP/1.1, unless that is not to be spoken."""
        if b"http/1.1" in self._factory.acceptableProtocols():
            self._speak(self._factory.makeHTTP11)
        else:
            self.refuse(
                NegotiationFailed(f"{self._factory.origin}: the server does not speak HTTP/2")
            )

    def _speak(self, make: Callable[[], Speaker]) -> None:
        if self._factory.ready.called:
            # Whoever dialled has given up, and the connection is on its way out.
            return
        try:
            speaker = self._speaker = make()
            speaker.makeConnection(self.transport)
        except Exception as raised:  # noqa: BLE001 - the transport may be gone, or a user's class fail
            self._speaker = None
            error = NegotiationFailed(
                f"{self._factory.origin}: the connection could not begin: {explain(raised)}"
            )
            error.__cause__ = raised
            self.refuse(error)
        else:
            self._factory.chosen(speaker)

    def refuse(self, error: HyperError) -> None:
        """Hang up without a word of HTTP."""
        self._factory.failed(error)
        self.hangUp()

    def hangUp(self) -> None:
        """Cut the connection, which may be gone already, or know nothing of being cut."""
        if self.transport is not None:
            try:
                cast(Any, self.transport).abortConnection()
            except Exception:  # noqa: BLE001 - nobody is helped by hearing of it
                self._log.failure("{name}: cannot be aborted", name=self._factory.origin)

    def dataReceived(self, data: bytes) -> None:
        """Step aside. What comes when nobody will ever speak is of no interest."""
        if self._speaker is not None:
            self._speaker.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on; before the choice is told it is a failure of TLS, or of the network."""
        what = "the TLS handshake failed"
        if self._speaker is not None:
            what = "the connection ended as it began"
            self._speaker.connectionLost(reason)
        # Those who have something against the other side say so, in an alert.
        kind = HandshakeTerminated if reason.check(ConnectionClosed) else NegotiationFailed
        error = kind(f"{self._factory.origin}: {what}: {explain(reason.value)}")
        error.__cause__ = reason.value
        # After the choice this is told to nobody.
        self._factory.failed(error)


@implementer(IProtocolNegotiationFactory)
class NegotiatingFactory(Factory):
    """
    One dial's factory.

    :ivar ready: fires with the :class:`~txhyper.interfaces.IHTTPConnection`, or fails with
        :exc:`~txhyper.errors.NegotiationFailed`. Cancelling it aborts the connection.
    """

    noisy = False

    def __init__(
        self,
        origin: str,
        makeHTTP2: Callable[[], IHTTPConnection],
        makeHTTP11: Callable[[], IHTTPConnection],
        offers: Sequence[bytes] = OFFERS,
        isPriorKnowledge: bool = False,
    ) -> None:
        """
        :param origin: the peer's name, for messages.
        :param makeHTTP2: makes a protocol for a connection that negotiated h2.
        :param makeHTTP11: makes one for any other.
        :param offers: what to offer by ALPN.
        :param isPriorKnowledge: whether to speak HTTP/2 where there is no TLS.
        """
        self.origin = origin
        self.makeHTTP2 = makeHTTP2
        self.makeHTTP11 = makeHTTP11
        self._offers = list(offers)
        self.isPriorKnowledge = isPriorKnowledge
        self._negotiator: Negotiator | None = None
        self.ready: Deferred[IHTTPConnection] = Deferred(self._cancelled)

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered by ALPN (RFC 7301), best first."""
        return self._offers

    def buildProtocol(self, addr: IAddress | None) -> Negotiator:
        """The connection of this dial."""
        self._negotiator = Negotiator(self)
        return self._negotiator

    def chosen(self, speaker: IHTTPConnection) -> None:
        """The protocol speaks, if its connection has not ended meanwhile."""
        self._negotiator = None
        if not self.ready.called:
            self.ready.callback(speaker)

    def failed(self, error: HyperError) -> None:
        """It never will. Only the first reason counts."""
        self._negotiator = None
        if not self.ready.called:
            self.ready.errback(error)

    def abort(self, error: HyperError) -> None:
        """Fail for a reason of the caller's, if nothing has been decided yet."""
        if self._negotiator is not None:
            self._negotiator.refuse(error)

    def _cancelled(self, deferred: Deferred[IHTTPConnection]) -> None:
        if self._negotiator is not None:
            self._negotiator.hangUp()
