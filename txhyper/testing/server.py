"""
An HTTP/2 server on a port of this machine, for demonstrations and tests.

Owns the life of a listening port and of the connections made to it. It never speaks HTTP itself
(:mod:`txhyper.testing.connection` does) and never says what is at a path
(:mod:`txhyper.testing.site`). ``hyperfetch --demo`` calls it, and so do tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from txhyper.testing.certs import CertificateAuthority, HostCertificate
from txhyper.testing.connection import HTTP2ServerProtocol
from txhyper.testing.endpoints import demoSite
from txhyper.testing.site import Site

__all__ = ["DemoServer"]

#: How long a client may take to answer the end of its connection, in seconds.
_PATIENCE = 0.5


class DemoServer(Factory):
    """
    An HTTP/2 server on a loopback port, with the paths of :func:`demoSite
    <txhyper.testing.endpoints.demoSite>` or your own.

    In a test::

        server = DemoServer(reactor)
        await server.start()
        agent = Agent(reactor, policyTrusting(server.authority.pem))
        response = await agent.request(b"GET", server.url("/get").encode())
        ...
        await agent.close()
        await server.stop()

    Paths of your own are endpoints on a :class:`~txhyper.testing.site.Site`, which says how one is
    written. To have them beside the demo's::

        site = demoSite(reactor)
        site.add("/greet/{name}", greet)
        server = DemoServer(reactor, site=site)

    :param reactor: listens, and tells the time.
    :param authority: signs the server's certificate; without one, the server makes one of its own.
    :param site: what is at which path.
    :param secure: TLS, with ALPN; False gives HTTP/2 over plain TCP with prior knowledge (h2c).
    :param protocols: what is offered in ALPN. Only ``h2`` is spoken: a connection on which
        something else is agreed, or nothing, is closed after the handshake.
    :param certificate: shown to clients in place of one that the authority signs for
        ``localhost``, ``127.0.0.1`` and ``::1``: an expired or a self-signed one, for instance.
    :param streamWindow: how many octets of a request's body a client may send ahead of the endpoint
        that reads it.
    :param maxConcurrentStreams: how many requests a client may have open; one too many is refused
        with REFUSED_STREAM.
    """

    noisy = False

    #: The port number; 0 before :meth:`start` has fired.
    port: int = 0
    #: How many connections have been accepted so far.
    accepted: int = 0

    def __init__(
        self,
        reactor: Any,  # IReactorTCP and IReactorTime at once, which a type cannot say.
        authority: CertificateAuthority | None = None,
        *,
        site: Site | None = None,
        secure: bool = True,
        protocols: Sequence[bytes] = (b"h2",),
        certificate: HostCertificate | None = None,
        streamWindow: int = 256 * 1024,
        maxConcurrentStreams: int = 100,
    ) -> None:
        self._reactor = reactor
        #: Who has signed the server's certificate: trust :attr:`CertificateAuthority.pem`.
        self.authority = authority or CertificateAuthority()
        self.site = site or demoSite(reactor)
        self._isSecure = secure
        self._protocols = tuple(protocols)
        self._certificate = certificate
        self._streamWindow = streamWindow
        self._maxConcurrentStreams = maxConcurrentStreams
        self._listening: IListeningPort | None = None
        self._leaving: list[Deferred[None]] = []
        #: The connections that are open now.
        self.connections: set[HTTP2ServerProtocol] = set()

    def start(self) -> Deferred[None]:
        """
        Listen on a port of 127.0.0.1 that the system picks.

        :return: a Deferred that fires when :attr:`port` is known.
        """
        factory: Any = self
        if self._isSecure:
            shown = self._certificate or self.authority.issue("localhost", "127.0.0.1", "::1")
            factory = TLSMemoryBIOFactory(
                shown.serverOptions(self._protocols), False, self, self._reactor
            )
        return maybeDeferred(self._listen, factory)

    def _listen(self, factory: IProtocolFactory) -> None:
        listening: IListeningPort = self._reactor.listenTCP(0, factory, interface="127.0.0.1")
        address = listening.getHost()
        assert isinstance(address, IPv4Address)
        self._listening = listening
        self.port = address.port

    def stop(self) -> Deferred[None]:
        """
        Close the port and every connection, whatever is going on there.

        :return: a Deferred that fires when all are gone and no timer is left. Requests that were
            still open end with their connection.
        """
        ending: list[Deferred[Any]] = []
        listening, self._listening = self._listening, None
        if listening is not None:
            ending.append(maybeDeferred(listening.stopListening))
        if self.connections:
            left: Deferred[None] = Deferred()
            self._leaving.append(left)
            ending.append(left)
            patience = self._reactor.callLater(_PATIENCE, self._abort)
            left.addCallback(lambda _: patience.active() and patience.cancel())
            for connection in list(self.connections):
                connection.close()
        return DeferredList(ending).addCallback(lambda _: None)

    def _abort(self) -> None:
        for connection in list(self.connections):
            connection.abort()

    def url(self, path: str = "/") -> str:
        """The URL of a path on this server."""
        scheme = "https" if self._isSecure else "http"
        return f"{scheme}://localhost:{self.port}{path}"

    # What Twisted calls, and the connections (connection.ConnectionOwner).

    def buildProtocol(self, addr: IAddress | None) -> HTTP2ServerProtocol:
        """Make the protocol for a client that has just connected."""
        return HTTP2ServerProtocol(
            self.site,
            self,
            streamWindow=self._streamWindow,
            maxConcurrentStreams=self._maxConcurrentStreams,
        )

    def connected(self, connection: HTTP2ServerProtocol) -> None:
        """Count a connection in."""
        self.accepted += 1
        self.connections.add(connection)

    def disconnected(self, connection: HTTP2ServerProtocol) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        if not self.connections:
            leaving, self._leaving = self._leaving, []
            for each in leaving:
                each.callback(None)
