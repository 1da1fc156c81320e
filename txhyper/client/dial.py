"""
One attempt to connect.

Owns the time from the first packet to a protocol that may speak: TCP, the handshake within its
limit, the choice of the protocol; before it perhaps a search for a connection that makes all that
superfluous. Knows nothing of who waits for it: the origin does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from txhyper.client.tls import withAdvice
from txhyper.errors import HandshakeTimedOut, NegotiationFailed
from txhyper.interfaces import IHTTPConnection
from txhyper.protocol.negotiation import NegotiatingFactory

__all__ = ["Dial"]


def _nothing(dial: Dial) -> None:
    """What comes of a connection that TCP makes when the dial was cancelled."""


def _ignore(dial: Dial, error: Exception) -> None:
    """What comes of an error when the dial was cancelled, or has told its outcome."""


def _abort(dial: Dial, connection: IHTTPConnection) -> None:
    """What comes of a connection then: an endpoint may connect all the same."""
    connection.abort()


class Dial:
    """
    A dial under way. Exactly one of the two callables is called, once, unless it is cancelled.
    """

    __slots__ = (
        "_connected",
        "_connecting",
        "_factory",
        "_failed",
        "_searching",
        "_succeeded",
        "_timeout",
        "_timer",
        "found",
        "isConnected",
    )

    def __init__(
        self,
        factory: NegotiatingFactory,
        handshakeTimeout: float,
        connected: Callable[[Dial], None],
        succeeded: Callable[[Dial, IHTTPConnection], None],
        failed: Callable[[Dial, Exception], None],
    ) -> None:
        """
        :param factory: makes the protocol.
        :param handshakeTimeout: seconds from TCP's connection to the end of the handshake. The
            time for TCP itself is the endpoint's business.
        :param connected: called when TCP has connected and the handshake begins.
        """
        self._factory = factory
        self._timeout = handshakeTimeout
        self._connected = connected
        #: Whether TCP has connected.
        self.isConnected = False
        self._succeeded = succeeded
        self._failed = failed
        self._timer: IDelayedCall | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._searching: Deferred[Any] | None = None
        #: The connection that was there already, if one was found.
        self.found: IHTTPConnection | None = None
        factory.ready.addCallbacks(self._ready, self._refused)

    def start(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        search: Deferred[Any] | None = None,
    ) -> None:
        """
        Connect. The outcome may be told before this returns.

        :param search: for a connection that is there already; None comes of it if there is none.
        """
        if search is None:
            self._connect(reactor, endpoint)
        else:
            self._searching = search
            search.addCallback(self._searched, reactor, endpoint)
            # It fails only when it is cancelled.
            search.addErrback(lambda failure: None)

    def _searched(
        self,
        connection: IHTTPConnection | None,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
    ) -> None:
        self._searching = None
        if connection is None:
            self._connect(reactor, endpoint)
        else:
            self.found = connection
            self._ready(connection)

    def _connect(self, reactor: IReactorTime, endpoint: IStreamClientEndpoint) -> None:
        # An endpoint that raises has failed, as any other.
        self._connecting = maybeDeferred(endpoint.connect, self._factory)
        self._connecting.addCallbacks(self._begun, self._refused, callbackArgs=(reactor,))

    def _begun(self, protocol: IProtocol, reactor: IReactorTime) -> None:
        self._connecting = None
        self.isConnected = True
        if not self._factory.ready.called:
            self._timer = reactor.callLater(self._timeout, self._late)
            self._connected(self)

    def _late(self) -> None:
        self._timer = None
        self._factory.abort(
            HandshakeTimedOut(
                f"{self._factory.origin}: the TLS handshake took longer than {self._timeout} s "
                "(option handshakeTimeout)"
            )
        )

    def _ready(self, connection: IHTTPConnection) -> None:
        succeeded = self._succeeded
        self._stop()
        succeeded(self, connection)

    def _refused(self, reason: Failure) -> None:
        failed = self._failed
        self._stop()
        error = reason.value
        assert isinstance(error, Exception)
        failed(self, withAdvice(error) if isinstance(error, NegotiationFailed) else error)

    def _stop(self) -> None:
        """There is an outcome: nothing is told after it, and no time runs."""
        self._succeeded = _abort
        self._failed = _ignore
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cancel(self) -> None:
        """Nobody waits for it any more. Nothing will be told."""
        self._connected = _nothing
        self._succeeded = _abort
        self._failed = _ignore
        if self._searching is not None:
            self._searching.cancel()
        elif self._connecting is not None:
            self._connecting.cancel()
        else:
            self._factory.ready.cancel()
