"""
Tunnels through proxies, as endpoints.

Owns a connection to a proxy until there is a tunnel in it. It writes to the transport, as there is
no connection of HTTP yet; what it writes, :mod:`txhyper.core.connect` and :mod:`txhyper.core.socks`
say. Then it steps aside: what is in the tunnel is none of its business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from typing import Protocol as Shape

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, DNSLookupError, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from txhyper.errors import ConnectTimedOut, HyperError, NegotiationFailed
from txhyper.protocol.failures import explain
from txhyper.protocol.tunnel import TunnelAddress

__all__ = ["Conversation", "NamedEndpoint", "TunnelThroughProxy"]


class Conversation(Shape):
    """What is said to a proxy until it has opened a tunnel."""

    #: Whether it has.
    is_open: bool
    #: What has come behind its last word: it is the tunnel's.
    rest: bytes

    def begin(self) -> bytes:
        """The first word is ours."""

    def receive(self, data: bytes) -> bytes:
        """:return: what to answer. :raises HyperError: there will be no tunnel."""


@implementer(IStreamClientEndpoint)
class NamedEndpoint:
    """An endpoint whose failures say whom it did not reach: it is not whom the user has named."""

    def __init__(self, endpoint: IStreamClientEndpoint, name: str) -> None:
        self._endpoint = endpoint
        self._name = name

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """As the endpoint's."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(self._failed)

    def _failed(self, reason: Failure) -> Failure:
        error = reason.value
        if isinstance(error, (ConnectError, DNSLookupError)):
            # Twisted's own classes are what users catch.
            told = [str(each) for each in error.args if each]
            error.args = (" ".join([*told, f"(the proxy {self._name})"]),)
        return reason


@implementer(IStreamClientEndpoint)
class TunnelThroughProxy:
    """Connects to the proxy, and asks it for a tunnel."""

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        makeConversation: Callable[[], Conversation],
        address: TunnelAddress,
        seconds: float,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._makeConversation = makeConversation
        self._address = address
        self._seconds = seconds

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:return: see :meth:`Proxy.tunnel`."""
        try:
            conversation = self._makeConversation()
        except HyperError:
            return fail()
        opening = Opening(
            self._reactor, conversation, protocolFactory, self._address, self._seconds
        )
        opening.start(self._endpoint)
        return opening.opened


@implementer(IProtocolNegotiationFactory)
class OpeningFactory(Factory):
    """Makes the one protocol of one attempt."""

    noisy = False

    def __init__(self, opening: Opening, factory: IProtocolFactory) -> None:
        """:param factory: makes the protocol in the tunnel."""
        self._opening = opening
        self._factory = factory

    def startFactory(self) -> None:
        """Pass it on."""
        self._factory.doStart()

    def stopFactory(self) -> None:
        """Pass it on."""
        self._factory.doStop()

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered by ALPN to a proxy behind TLS: CONNECT is spoken in HTTP/1.1."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Opening:
        """The protocol."""
        return self._opening


@implementer(IHandshakeListener)
class Opening(Protocol):
    """
    The protocol of a connection to a proxy, until there is a tunnel; then it steps aside.

    :ivar opened: fires with the protocol in the tunnel. Cancelling it cuts the connection.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        conversation: Conversation,
        factory: IProtocolFactory,
        address: TunnelAddress,
        seconds: float,
    ) -> None:
        self._reactor = reactor
        # None once there is an outcome.
        self._conversation: Conversation | None = conversation
        self._factory = factory
        self._address = address
        self._seconds = seconds
        self._timer: IDelayedCall | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._hasSpoken = False
        self._inner: IProtocol | None = None
        self.opened: Deferred[IProtocol] = Deferred(self._cancelled)

    def start(self, endpoint: IStreamClientEndpoint) -> None:
        """Connect to the proxy."""
        self._connecting = endpoint.connect(OpeningFactory(self, self._factory))
        self._connecting.addCallbacks(self._connected, self._end)

    def _connected(self, protocol: IProtocol) -> None:
        self._connecting = None

    def connectionMade(self) -> None:
        """The time for the proxy begins. Over TLS it is told nothing yet."""
        if self._conversation is None:
            # An endpoint may connect although it was cancelled.
            self._hangUp()
            return
        self._timer = self._reactor.callLater(self._seconds, self._late)
        if not INegotiated.providedBy(self.transport):
            self._speak()

    def handshakeCompleted(self) -> None:
        """The proxy's certificate holds: it may see credentials."""
        if self._conversation is not None:
            self._speak()

    def _speak(self) -> None:
        assert self._conversation is not None and self.transport is not None
        self._hasSpoken = True
        self.transport.write(self._conversation.begin())

    def dataReceived(self, data: bytes) -> None:
        """What belongs to the tunnel goes there."""
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif self._conversation is not None:
            assert self.transport is not None
            try:
                answer = self._conversation.receive(data)
            except HyperError:
                self._giveUp(Failure())
                return
            if answer:
                self.transport.write(answer)
            if self._conversation.is_open:
                self._open(self._conversation.rest)

    def _open(self, rest: bytes) -> None:
        self._stop()
        try:
            inner = self._factory.buildProtocol(self._address)
            if inner is None:
                raise NoProtocol
            self._inner = inner
            if IHalfCloseableProtocol.providedBy(inner):
                alsoProvides(self, IHalfCloseableProtocol)
            inner.makeConnection(self._tunnelTransport())
        except Exception:  # noqa: BLE001 - what is in the tunnel is anybody's code
            self._inner = None
            self._tell(Failure())
            self._hangUp()
            return
        self._tell(inner)
        if rest:
            inner.dataReceived(rest)

    def _tunnelTransport(self) -> Any:
        """The transport, but never with the TLS to the proxy on it: that is not the host's."""
        if INegotiated.providedBy(self.transport):
            return Inside(self.transport)
        return self.transport

    def readConnectionLost(self) -> None:
        """The other end has closed its side; told only if the protocol in the tunnel wants it."""
        cast(IHalfCloseableProtocol, self._inner).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """This side is closed; likewise."""
        cast(IHalfCloseableProtocol, self._inner).writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on; before there is a tunnel it is a failure of the proxy's."""
        if self._inner is not None:
            self._inner.connectionLost(reason)
            return
        what = "the TLS handshake with the proxy failed"
        if self._hasSpoken:
            what = f"the proxy hung up before it opened a tunnel to {self._address.authority}"
        error = NegotiationFailed(f"{self._address.proxy}: {what}: {explain(reason.value)}")
        error.__cause__ = reason.value
        self._end(Failure(error))

    def _late(self) -> None:
        self._timer = None
        what = "did not complete the TLS handshake"
        if self._hasSpoken:
            what = f"did not open a tunnel to {self._address.authority}"
        error = ConnectTimedOut(
            f"{self._address.proxy}: the proxy {what} within {self._seconds} s "
            "(option connectTimeout)"
        )
        self._giveUp(Failure(error))

    def _giveUp(self, reason: Failure) -> None:
        self._end(reason)
        self._hangUp()

    def _end(self, reason: Failure) -> None:
        """There will be no tunnel."""
        if self._conversation is not None:
            self._stop()
            self._tell(reason)

    def _tell(self, outcome: IProtocol | Failure) -> None:
        # Whoever is in the tunnel may have cancelled it as it began.
        if not self.opened.called:
            self.opened.callback(outcome)

    def _stop(self) -> None:
        self._conversation = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancelled(self, deferred: Deferred[IProtocol]) -> None:
        self._stop()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        else:
            self._hangUp()

    def _hangUp(self) -> None:
        cast(Any, self.transport).abortConnection()


class Inside:
    """A transport as what is inside the tunnel sees it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        """All of it, but for what zope.interface asks, lest it be taken for TLS of the tunnel's."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._transport, name)
