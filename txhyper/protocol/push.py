"""
Responses that nobody has asked for: server push (RFC 9113 section 8.4).

Owns what a promise is to its user (:class:`PushPromise`), and one promised response on its way
(:class:`PromisedExchange`), whose body is :mod:`txhyper.protocol.reading`'s as every body is. Which
promises are believed the exchange decides, on whose stream they come; how many there may be at a
time, the engine.

A promise that nobody holds is cancelled: it is garbage, or it stands in the queue of a response
that is. So whoever does not look at promises pays for none longer than for the response itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http_headers import Headers
from zope.interface import implementer

from txhyper.core.headers import PromiseHead, ResponseHead
from txhyper.core.streams import Stream
from txhyper.interfaces import IHyperResponse, IPushPromise
from txhyper.protocol.body import discard
from txhyper.protocol.failures import asRequestFailure
from txhyper.protocol.reading import CANCEL, ReadingSide
from txhyper.protocol.request import Request, asHeaders
from txhyper.protocol.response import Response

if TYPE_CHECKING:
    from txhyper.protocol.wire import Wire

__all__ = ["PromisedExchange", "PushPromise"]


class PromisedExchange(ReadingSide):
    """One promised response."""

    __slots__ = ("_promise", "_waitedFor", "request")

    def __init__(self, wire: Wire, stream: Stream, head: PromiseHead) -> None:
        super().__init__(wire)
        self.stream = stream
        stream.owner = self
        uri = head.scheme + b"://" + head.authority + head.path
        self.request = Request.toTarget(
            head.method, uri, asHeaders(head.fields), None, head.scheme, head.authority, head.path
        )
        promise = PushPromise(self)
        # Weakly, as one that nobody holds is to be cancelled; but not while somebody waits.
        self._promise = ref(promise)
        self._waitedFor: PushPromise | None = promise

    def handOut(self) -> PushPromise:
        """The promise, which from now on lives as long as somebody holds it."""
        promise, self._waitedFor = self._waitedFor, None
        assert promise is not None
        return promise

    def waitedFor(self, promise: PushPromise | None) -> None:
        """Somebody waits for the response, or nobody any more."""
        self._waitedFor = promise

    def informed(self, head: ResponseHead) -> None:
        """An informational response, which says nothing that is of use here."""

    def responded(self, head: ResponseHead) -> None:
        """The response's head has come. If nobody wants it, it is garbage at once."""
        promise = self._promise()
        if promise is not None:
            promise.responded(Response(self, head, self.opened().remaining))

    def finished(self) -> None:
        """The response is complete."""
        self._end()

    def failed(self, error: Exception) -> None:
        """The stream has ended before it was done."""
        self._error = error
        promise = self._promise()
        if promise is not None:
            promise.failed(error)
        self._end()

    def closed(self, error: Exception | None = None) -> None:
        """The stream has ended."""

    def refuse(self, code: int) -> None:
        """The promise is not believed. :raises BoundExceeded: too many were not."""
        self._wire.refuse(self.opened(), code)

    def cancel(self) -> None:
        """Nobody wants the response."""
        self._reset(CANCEL)

    def cancelFromAnyThread(self) -> None:
        """Likewise, from wherever the garbage collector happens to run."""
        if not self.opened().closed:
            self._wire.fromAnyThread(self.cancel)


@implementer(IPushPromise)
class PushPromise:
    """
    A response that the server will send without having been asked.

    :ivar request: the request that it answers, which was never sent: method, ``absoluteURI`` and
        headers.
    :ivar streamId: the stream on which it comes.
    """

    __slots__ = (
        "__weakref__",
        "_error",
        "_exchange",
        "_response",
        "_waiters",
        "request",
        "streamId",
    )

    def __init__(self, exchange: PromisedExchange) -> None:
        # Until there is a response, or there will be none.
        self._exchange: PromisedExchange | None = exchange
        self._response: IHyperResponse | None = None
        self._error: Exception | None = None
        self._waiters: list[Deferred[IHyperResponse]] = []
        self.request = exchange.request
        self.streamId: int = exchange.opened().id

    @property
    def method(self) -> bytes:
        """The promised request's method, GET or HEAD."""
        return self.request.method

    @property
    def uri(self) -> bytes:
        """The promised request's URI."""
        return self.request.absoluteURI

    @property
    def headers(self) -> Headers:
        """The promised request's fields."""
        return self.request.headers

    def whenResponse(self) -> Deferred[IHyperResponse]:
        """As :meth:`txhyper.interfaces.IPushPromise.whenResponse`."""
        waiter: Deferred[IHyperResponse] = Deferred(self._forget)
        if self._response is not None:
            waiter.callback(self._response)
        elif self._error is not None:
            waiter.errback(asRequestFailure(self._error))
        else:
            self._waiters.append(waiter)
            self._heldWhileWaited()
        return waiter

    def _forget(self, waiter: Deferred[IHyperResponse]) -> None:
        """A waiter has been cancelled, which changes nothing for anybody else."""
        self._waiters.remove(waiter)
        self._heldWhileWaited()

    def _heldWhileWaited(self) -> None:
        if self._exchange is not None:
            self._exchange.waitedFor(self if self._waiters else None)

    def cancel(self) -> None:
        """As :meth:`txhyper.interfaces.IPushPromise.cancel`."""
        exchange = self._exchange
        if exchange is not None:
            exchange.cancel()
            self.failed(CancelledError())
        elif self._response is not None:
            with suppress(RuntimeError):
                # Unless somebody reads it, who may give it up.
                discard(self._response)

    def responded(self, response: IHyperResponse) -> None:
        """The response's head has come."""
        self._response = response
        self._settle()

    def failed(self, error: Exception) -> None:
        """There will be no response, if there is none yet."""
        if self._response is None and self._error is None:
            self._error = error
            self._settle()

    def _settle(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        exchange.waitedFor(None)
        while self._waiters:
            waiter = self._waiters.pop(0)
            if self._response is not None:
                waiter.callback(self._response)
            else:
                assert self._error is not None
                waiter.errback(asRequestFailure(self._error))

    def __del__(self) -> None:
        if self._exchange is not None:
            self._exchange.cancelFromAnyThread()
