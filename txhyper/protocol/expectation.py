"""
A body that is held back until the server has said that it wants it.

Owns the wait of ``Expect: 100-continue`` (RFC 9110 section 10.1.1), for HTTP/2 and HTTP/1.1 alike:
to them it is a producer that takes its time. The wait ends with the server's 100, with its final
response, or when the time is up, since a server is free not to know of expectations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast
from weakref import WeakMethod

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from txhyper.core.headers import Field
from txhyper.protocol.request import Request

__all__ = ["AwaitedBody", "producerOf"]


def producerOf(
    request: Request, fields: Iterable[Field], reactor: IReactorTime, timeout: float
) -> tuple[IBodyProducer | None, int | None]:
    """
    What is about to produce a request's body, and the octets that its content-length announces.

    A body that the server was told to expect is held back. Any other one counts as begun from here.

    :param fields: the request's.
    :param timeout: seconds to hold it back.
    :return: None for a request without a body; None for a length that is not announced, be it the
        producer's own or what the caller said where it knows none.
    """
    body = request.body
    if body is None:
        return None, None
    if any(name == b"expect" and value.lower() == b"100-continue" for name, value in fields):
        body = AwaitedBody(reactor, request, timeout)
    else:
        request.bodyStarted = True
    announced = [int(value) for name, value in fields if name == b"content-length"]
    return body, announced[0] if announced else None


@implementer(IBodyProducer)
class AwaitedBody:
    """The producer of a request's body, once :meth:`proceed` has been called."""

    def __init__(self, reactor: IReactorTime, request: Request, timeout: float) -> None:
        """:param timeout: seconds to wait."""
        self._reactor = reactor
        self._request = request
        self._body = cast(Any, request.body)
        self._timeout = timeout
        self.length = self._body.length
        self._consumer: IConsumer | None = None
        # Weakly, as who has stopped this may keep the Deferred, which then never fires.
        stop = WeakMethod(self.stopProducing)
        self._finished: Deferred[None] = Deferred(lambda _: _called(stop()))
        self._timer: IDelayedCall | None = None
        self._isPaused = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Wait. :return: what the body itself would have returned."""
        self._consumer = consumer
        self._timer = self._reactor.callLater(self._timeout, self._late)
        return self._finished

    def _late(self) -> None:
        self._timer = None
        self.proceed()

    def _endWait(self) -> IConsumer | None:
        """:return: the consumer, if the body has not begun yet, and was not stopped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        consumer, self._consumer = self._consumer, None
        return consumer

    def proceed(self) -> None:
        """The server wants the body, or may be taken to. A second time does nothing."""
        consumer = self._endWait()
        if consumer is not None:
            self._request.bodyStarted = True
            # A pause from here on reaches the body itself.
            wasPaused = self._isPaused
            try:
                begun: Deferred[None] = self._body.startProducing(consumer)
                if wasPaused:
                    self._body.pauseProducing()
                begun.chainDeferred(self._finished)
            except Exception:  # noqa: BLE001 - a user's code: it fails its own request
                self._finished.errback(Failure())

    def pauseProducing(self) -> None:
        """As the body does; during the wait, it will."""
        self._isPaused = True
        if self._consumer is None:
            self._body.pauseProducing()

    def resumeProducing(self) -> None:
        """As the body does."""
        self._isPaused = False
        if self._consumer is None:
            self._body.resumeProducing()

    def stopProducing(self) -> None:
        """Stop the wait, or the body."""
        if self._endWait() is None and self._request.bodyStarted:
            self._body.stopProducing()


def _called(call: Callable[[], object] | None) -> None:
    if call is not None:
        call()
