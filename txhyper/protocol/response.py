"""
A response over HTTP/2.

Owns what the user holds: status, headers, and the moment at which a body gets its reader. Decides
nothing about the stream; :mod:`txhyper.protocol.reading` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocol
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from txhyper.core.streams import UNBOUNDED
from txhyper.interfaces import IHyperResponse
from txhyper.protocol.body import ReadableBody
from txhyper.protocol.ending import COMPLETE, Ending
from txhyper.protocol.pushes import NO_PUSHES, Pushes
from txhyper.protocol.request import asHeaders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from txhyper.core.headers import Field, ResponseHead
    from txhyper.protocol.exchange import Exchange
    from txhyper.protocol.push import PromisedExchange

__all__ = ["Response"]


@implementer(IHyperResponse)
class Response(ReadableBody):
    """
    A response whose head has come.

    Nothing of its body is lost before :meth:`deliverBody`, and no more than one stream window of
    it is held: the peer has to wait. A response that is thrown away unread gives up its stream.

    :ivar code: the status.
    :ivar length: octets of the body if they are known, else ``UNKNOWN_LENGTH``.
    :ivar streamId: the stream's id on the wire.
    """

    __slots__ = (
        "_bounds",
        "_ending",
        "_exchange",
        "_head",
        "_headers",
        "_isDelivered",
        "_pushes",
        "code",
        "length",
        "previousResponse",
        "request",
        "streamId",
    )

    version = (b"HTTP", 2, 0)

    def __init__(
        self, exchange: Exchange | PromisedExchange, head: ResponseHead, remaining: int
    ) -> None:
        # Until the body has ended, and then how it ended.
        self._exchange: Exchange | PromisedExchange | None = exchange
        self._ending: Ending = COMPLETE
        self._pushes = NO_PUSHES
        self._isDelivered = False
        self._bounds = exchange.bounds
        self._head = head
        self._headers: Headers | None = None
        self.code = head.status
        self.length: int | str = UNKNOWN_LENGTH if remaining == UNBOUNDED else remaining
        self.request: IClientRequest = exchange.request
        self.previousResponse: IResponse | None = None
        self.streamId: int = exchange.opened().id

    @property
    def phrase(self) -> bytes:
        """HTTP/2 sends no phrase (RFC 9113 section 8.3.2): the usual one for the status."""
        return RESPONSES.get(self.code, b"")

    @property
    def headers(self) -> Headers:
        """The header fields, made when first looked at."""
        if self._headers is None:
            self._headers = asHeaders(self._head.fields)
        return self._headers

    @property
    def fields(self) -> Sequence[Field]:
        """The header fields in the order of the wire, which ``headers`` does not keep."""
        return self._head.fields

    def setPreviousResponse(self, response: IResponse) -> None:
        """Remember the response that led to this one."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:
        """
        Give the body to a protocol, from its first octet.

        Its ``connectionLost`` is called exactly once: with
        :exc:`~twisted.web.client.ResponseDone` if the body is complete (the peer's END_STREAM
        came, and content-length holds), else with
        :exc:`~twisted.web.client.ResponseFailed`.

        :raises RuntimeError: the body has been given away already.
        """
        self._deliver(protocol, False)

    def _deliver(self, reader: IProtocol, isFramed: bool) -> None:
        exchange = self._exchange
        if self._isDelivered or exchange is None:
            raise RuntimeError("the body of this response has been delivered already")
        self._isDelivered = True
        exchange.deliver(self, reader, isFramed)

    def whenTrailers(self) -> Deferred[Headers]:
        """As :meth:`txhyper.interfaces.IHyperResponse.whenTrailers`."""
        if self._exchange is None:
            return self._ending.whenTrailers()
        return self._exchange.whenTrailers()

    @property
    def pushes(self) -> Pushes:
        """As :attr:`txhyper.interfaces.IHyperResponse.pushes`."""
        return self._pushes if self._exchange is None else self._exchange.pushes()

    def concluded(self, ending: Ending, pushes: Pushes) -> None:
        """The body's reader has had everything: what remains is how it ended, and the promises."""
        self._exchange = None
        self._ending = ending
        self._pushes = pushes

    def __del__(self) -> None:
        if not self._isDelivered and self._exchange is not None:
            self._exchange.unread()
